"""The one place that knows every workshop."""

from hwprune.pipeline.run import run_deployment

__all__ = ["run_deployment"]
