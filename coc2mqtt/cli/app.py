"""The commands."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import yaml

from coc2mqtt.cli.check import check_everything
from coc2mqtt.cli.demo import run_demo
from coc2mqtt.cli.healthcheck import ask_health
from coc2mqtt.config.loader import ConfigurationError, load_settings, require_token
from coc2mqtt.config.redaction import redactor_of
from coc2mqtt.config.settings import Settings
from coc2mqtt.journal.errors import JournalError
from coc2mqtt.logs import configure_logging
from coc2mqtt.mqtt.embedded_broker import EmbeddedBrokerError
from coc2mqtt.service import Service
from coc2mqtt.supervisor import TooManyFailuresError
from coc2mqtt.util.event_loop import EventLoopError
from coc2mqtt.util.event_loop import run as run_loop
from coc2mqtt.util.gc_tuning import freeze
from coc2mqtt.util.redaction import Redactor, redact_uncaught_exceptions
from coc2mqtt.util.standard_streams import echo, prepare_streams, print_error
from coc2mqtt.wiring import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

# What was tried and could not be done; and what is wrong with what the user gave, found before anything was tried.
_FAILED = 1
_MISUSED = 2
# EX_SOFTWARE of sysexits.h: bugs ended the bridge, and a supervisor should start it again.
_BROKEN = 70

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="What can be configured.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file; else the one that COC2MQTT_CONFIG names.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(VERSION)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Clash of Clans on MQTT: every change in a clan, a war, a player or the API as an event."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the bridge until it is stopped."""
    settings = _load(config)
    _or_exit(lambda: require_token(settings))
    redact = redactor_of(settings)
    configure_logging(settings.log.level, settings.log.format, redact=redact)
    redact_uncaught_exceptions(redact)
    freeze()
    _run(lambda stop: Service(settings, on_loaded=freeze).run(stop))


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End by itself after so many seconds.")] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=10, help="How much faster than told the story goes.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another number, another story.")] = 1,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The broker's port; a free one if it is taken.")] = 1883,
) -> None:
    """Try everything without an account: a scripted game, a broker, and the bridge between them."""
    configure_logging("error", "console")
    with _temporary_folder() as name:
        told = partial(run_demo, folder=Path(name), say=echo)
        _run(partial(told, seconds=seconds, speed=speed, seed=seed, port=port))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Try the file, the token and the broker, and say what is wrong."""
    settings = _load(config)
    redact = redactor_of(settings)
    configure_logging("error", "console", redact=redact)
    if not _on_loop(check_everything(settings, say=lambda text: echo(redact(text)))):
        raise typer.Exit(_FAILED)


@app.command()
def healthcheck(
    config: ConfigOption = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the bridge's answer.")] = 5.0,
) -> None:
    """Ask the running bridge over MQTT how it is doing; the exit status is 0 if it is well."""
    settings = _load(config)
    redact = redactor_of(settings)
    configure_logging("error", "console", redact=redact)
    problems = _on_loop(ask_health(settings, timeout=timeout))
    for problem in problems:
        typer.echo(f"unhealthy: {redact(problem)}", err=True)
    if problems:
        raise typer.Exit(_FAILED)
    echo("healthy")


@app.command("schema")
def payload_schema(
    name: Annotated[str | None, typer.Argument(help="The schema to print; else all are listed.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write all of them, and a page about them, into a folder.")] = None,
) -> None:
    """Print the JSON schema of a payload that is published or accepted, or list them with their topics."""
    # Only here, because to build them all takes a while.
    from coc2mqtt.cli.schema import SchemaError, list_schemas, print_schema, write_schemas  # noqa: PLC0415

    try:
        if write is not None:
            echo(write_schemas(write))
        elif name is not None:
            echo(print_schema(name), end="")
        else:
            echo("\n".join(list_schemas()))
    except SchemaError as error:
        print_error(str(error))
        raise typer.Exit(_MISUSED) from None


@config_app.command()
def schema() -> None:
    """Print the JSON schema of the configuration file."""
    echo(json.dumps(Settings.model_json_schema(), indent=2))


@config_app.command()
def show(config: ConfigOption = None) -> None:
    """Print the configuration that is in effect, the environment's share included, with secrets as asterisks."""
    # Without nulls: a null host beside a port would be refused, where this is read as a file.
    settings = _load(config).model_dump(mode="json", exclude_none=True)
    echo(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), end="")


@app.command()
def version() -> None:
    """Print the version."""
    echo(VERSION)


def main() -> None:
    """Run the command that the command line names."""
    prepare_streams()
    app()


def _load(config: Path | None) -> Settings:
    return _or_exit(lambda: load_settings(config))


def _or_exit(work: Callable[[], T]) -> T:
    try:
        return work()
    except ConfigurationError as error:
        # A value that is quoted may be a URL with a password.
        print_error(Redactor()(str(error)))
        raise typer.Exit(_MISUSED) from None


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until the work is done or a signal asks to stop; what it cannot do is one sentence, not a traceback."""
    try:
        _on_loop(_until_signal(work))
    except (JournalError, EmbeddedBrokerError) as error:
        print_error(str(error))
        raise typer.Exit(_FAILED) from None
    except TooManyFailuresError as error:
        print_error(str(error))
        raise typer.Exit(_BROKEN) from None


def _on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on the event loop that COC2MQTT_LOOP names; one that cannot be used ends the command."""
    try:
        return run_loop(work)
    except EventLoopError as error:
        print_error(str(error))
        raise typer.Exit(_MISUSED) from None


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="coc2mqtt-demo-")
    except OSError:
        print_error("cannot create a temporary folder: set TMPDIR to a folder that can be written")
        raise typer.Exit(_FAILED) from None


async def _until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(stop)
