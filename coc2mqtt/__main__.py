"""``python -m coc2mqtt``."""

from coc2mqtt.cli import main

main()
