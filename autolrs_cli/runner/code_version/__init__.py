"""Which code a run can have executed, by the hashes of its modules' syntax trees."""

from autolrs_cli.runner.code_version.executed import CodeVersion, code_version

__all__ = ["CodeVersion", "code_version"]
