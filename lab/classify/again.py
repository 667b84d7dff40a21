"""Records judged by today's rules. Pure."""

from __future__ import annotations

from dataclasses import replace

from lab.classify.judge import judge
from lab.classify.wrappers import disagrees, speaks_for
from lab.model.record import Record, Run


def judged_again(record: Record) -> Record:
    """The record with its verdict derived anew from its observation; skips and lab faults without one stay."""
    if record.observation is None:
        return record
    text = speaks_for(record.observation)
    return replace(
        record,
        verdict=judge(record.observation, tolerate=record.tolerate, checks=record.checks),
        speaks_for=text,
        text_differs=bool(text) and disagrees(text, record.axes.get("runtime", "")),
    )


def run_judged_again(run: Run) -> Run:
    """The run with every record judged again."""
    return replace(run, records=tuple(judged_again(record) for record in run.records))
