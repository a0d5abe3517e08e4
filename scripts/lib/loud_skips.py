"""A pytest plugin: says at the end, so that nobody misses it, which tests did not run and why."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Adds the section when something was skipped or left out."""
    left_out = [f"{len(terminalreporter.stats.get('deselected', []))} left out by: -m {config.option.markexpr!r}"]
    reasons = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", [])]
    lines = [f"{reasons.count(reason)} skipped: {reason}" for reason in sorted(set(reasons))]
    lines += left_out if config.option.markexpr and terminalreporter.stats.get("deselected") else []
    if lines:
        terminalreporter.section("NOT RUN", yellow=True, bold=True)
        for line in lines:
            terminalreporter.line(line, yellow=True)
