"""Logs of every process look the same: one line of JSON each, or coloured text where a person watches."""

import logging
import sys

import structlog


def configure_logs(*, json: bool | None = None, level: int = logging.INFO) -> None:
    """Sends the records of structlog and of the standard library to stderr, with the bound request or job id.

    Args:
        json: left out, JSON unless stderr is a terminal.
        level: what is less important is dropped.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    as_json = not sys.stderr.isatty() if json is None else json
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(json=as_json)],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # It tells at every start which plugins it has.
    logging.getLogger("alembic").setLevel(max(level, logging.WARNING))


def _renderers(*, json: bool) -> list[structlog.typing.Processor]:
    # Plain tracebacks: those that show local variables would write keys and prompts into the log.
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
