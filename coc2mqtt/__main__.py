"""Entry point of ``python -m coc2mqtt``."""

from coc2mqtt.cli.app import main

main()
