"""The languages of the texts for people: event summaries and the names in Home Assistant.

The English texts are in the code. ``<code>.po`` contains their translations, ``<code>.mo`` is compiled from it.
"""

from coc2mqtt.translations.language import CODES, ENGLISH, Language, language_of, message

__all__ = ["CODES", "ENGLISH", "Language", "language_of", "message"]
