"""`yakt serve`: one node in the foreground, until SIGTERM or Ctrl-C."""

import argparse
import logging
import sys
from pathlib import Path

import structlog
import trio

from yakt import app
from yakt.config import load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may follow `yakt serve`."""
    parser.add_argument("config", type=Path, help="the node's configuration, as conf/node1.toml")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="how log lines look")
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="the least that is logged"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the node. Raises ConfigError and StorageError, each a clear line."""
    config = load_config(arguments.config)
    configure_logging(arguments.log_format, arguments.log_level)
    trio.run(app.run, config)
    return 0


def configure_logging(log_format: str, level: str) -> None:
    """Log lines on standard error, as text for people or one JSON object each."""
    renderer: structlog.types.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
