"""The command line interface."""

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
from coc2mqtt.cli.dashboard import DashboardError, print_dashboard
from coc2mqtt.cli.demo import run_demo
from coc2mqtt.cli.healthcheck import request_health
from coc2mqtt.config.loader import ConfigurationError, load_settings, require_token
from coc2mqtt.config.settings import Settings, redactor_of
from coc2mqtt.journal.errors import JournalError
from coc2mqtt.logs import configure_logging
from coc2mqtt.mqtt.embedded_broker import EmbeddedBrokerError
from coc2mqtt.service import Service
from coc2mqtt.supervisor import TooManyFailuresError
from coc2mqtt.util.redaction import Redactor, redact_uncaught_exceptions
from coc2mqtt.util.runtime import EventLoopError, freeze
from coc2mqtt.util.runtime import run as run_loop
from coc2mqtt.util.standard_streams import echo, prepare_streams, print_error
from coc2mqtt.wiring import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

# Exit statuses. A usage error is an invalid argument or setting, found before anything was started.
_FAILURE = 1
_USAGE_ERROR = 2
# EX_SOFTWARE of sysexits.h: the bridge exited because of bugs, and its supervisor should restart it.
_INTERNAL_ERROR = 70

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Show the configuration and its schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Path of the configuration file. [default: $COC2MQTT_CONFIG]")
]


def _print_version(requested: bool) -> None:
    if requested:
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
    """Run the bridge until it receives SIGINT or SIGTERM."""
    settings = _load(config)
    _exit_on_error(lambda: require_token(settings))
    redact = redactor_of(settings)
    configure_logging(settings.log.level, settings.log.format, redact=redact)
    redact_uncaught_exceptions(redact)
    freeze()
    _run(lambda stop: Service(settings, on_loaded=freeze).run(stop))


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this many seconds.")] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=10, help="Playback speed of the script.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed of the script.")] = 1,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the broker. If it is taken, a free port is used.")
    ] = 1883,
) -> None:
    """Try the bridge without an account, with a scripted game and an embedded broker."""
    configure_logging("error", "console")
    with _temporary_folder() as name:
        _run(partial(run_demo, folder=Path(name), echo=echo, seconds=seconds, speed=speed, seed=seed, port=port))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the configuration, the API tokens, the watches, the broker and the journal."""
    settings = _load(config)
    redact = redactor_of(settings)
    configure_logging("error", "console", redact=redact)
    if not _run_on_loop(check_everything(settings, echo=lambda text: echo(redact(text)))):
        raise typer.Exit(_FAILURE)


@app.command()
def healthcheck(
    config: ConfigOption = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the response of the bridge.")] = 5.0,
) -> None:
    """Request the health of the running bridge over MQTT. The exit status is 0 if it is healthy."""
    settings = _load(config)
    redact = redactor_of(settings)
    configure_logging("error", "console", redact=redact)
    problems = _run_on_loop(request_health(settings, timeout=timeout))
    for problem in problems:
        typer.echo(f"unhealthy: {redact(problem)}", err=True)
    if problems:
        raise typer.Exit(_FAILURE)
    echo("healthy")


@app.command()
def dashboard(
    config: ConfigOption = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the broker.")] = 5.0,
) -> None:
    """Print a Home Assistant dashboard for the clans and players that the running bridge watches, as YAML."""
    settings = _load(config)
    redact = redactor_of(settings)
    configure_logging("error", "console", redact=redact)
    try:
        text = _run_on_loop(print_dashboard(settings, timeout=timeout))
    except DashboardError as error:
        print_error(redact(str(error)))
        raise typer.Exit(_FAILURE) from None
    echo(text, end="")


@app.command("schema")
def payload_schema(
    name: Annotated[
        str | None, typer.Argument(help="Name of the schema to print. Without it, all schemas are listed.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Folder to write all schemas and their documentation to.")] = None,
) -> None:
    """Print the JSON schema of a payload, or list all schemas with their topics."""
    # Imported here because building all schemas takes some time.
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
        raise typer.Exit(_USAGE_ERROR) from None


@config_app.command()
def schema() -> None:
    """Print the JSON schema of the configuration file."""
    echo(json.dumps(Settings.model_json_schema(), indent=2))


@config_app.command()
def show(config: ConfigOption = None) -> None:
    """Print the effective configuration, including environment variables, with secrets masked."""
    # Without nulls, because the output must be a valid configuration file: a null host next to a port is rejected.
    settings = _load(config).model_dump(mode="json", exclude_none=True)
    echo(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), end="")


@app.command()
def version() -> None:
    """Print the version."""
    echo(VERSION)


def main() -> None:
    """Run the command line interface."""
    prepare_streams()
    app()


def _load(config: Path | None) -> Settings:
    return _exit_on_error(lambda: load_settings(config))


def _exit_on_error(work: Callable[[], T]) -> T:
    try:
        return work()
    except ConfigurationError as error:
        # The error may quote a URL with a password.
        print_error(Redactor()(str(error)))
        raise typer.Exit(_USAGE_ERROR) from None


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run the work until it returns; SIGINT and SIGTERM set its stop event.

    Prints an expected error as one line without a traceback.
    """
    try:
        _run_on_loop(_until_signal(work))
    except (JournalError, EmbeddedBrokerError) as error:
        print_error(str(error))
        raise typer.Exit(_FAILURE) from None
    except TooManyFailuresError as error:
        print_error(str(error))
        raise typer.Exit(_INTERNAL_ERROR) from None


def _run_on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on the event loop that COC2MQTT_LOOP selects; exit if that is not available."""
    try:
        return run_loop(work)
    except EventLoopError as error:
        print_error(str(error))
        raise typer.Exit(_USAGE_ERROR) from None


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="coc2mqtt-demo-")
    except OSError:
        print_error("cannot create a temporary folder: set TMPDIR to a writable folder")
        raise typer.Exit(_FAILURE) from None


async def _until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(stop)
