"""An event as it is kept and published: trimmed, named and put into a sentence."""
