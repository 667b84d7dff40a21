"""Hypothesis: any run that a matrix could be made of."""

from __future__ import annotations

import report_runs
from hypothesis import settings
from hypothesis import strategies as st

from lab.model.record import Run
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Errored, Passed, Phase, Skipped, Verdict

quick = settings(max_examples=40, deadline=None)
"""Rendering whole reports is slow work for a property test; a loaded machine is no failure."""

VERDICTS: tuple[Verdict, ...] = (
    Passed(),
    report_runs.DENIED,
    Denied(cause="cwd-not-searchable", phase=Phase.EXEC, evidence="elsewhere"),
    report_runs.MKDIR,
    Skipped(reason="no root"),
    Errored(reason="broke"),
)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs with holes, several engines and scenarios, axes that only some cells have, and records in any order."""
    cells = draw(
        st.lists(
            st.tuples(
                st.sampled_from(("one", "two")),
                st.sampled_from(("0", "1000", "65532:0")),
                st.sampled_from((None, "docker", "cri")),
                st.sampled_from(
                    ("runc@1.0.0-rc9", "runc@1.0.0-rc10", "runc@1.0.0-rc10+debian11", "runc@1.1.5", "crun@1")
                ),
                st.sampled_from(("oci", "docker")),
            ),
            unique=True,
            max_size=25,
        )
    )
    verdicts = st.sampled_from(VERDICTS if draw(st.booleans()) else VERDICTS[:2])
    wanted = st.sampled_from((None, Expectation(verdict="passed")))
    return report_runs.run(
        [
            report_runs.record(
                {
                    "image": "busybox",
                    "user": user,
                    **({} if caps is None else {"caps": caps}),
                    "runtime": runtime,
                    "engine": engine,
                },
                draw(verdicts),
                scenario=scenario,
                expectation=draw(wanted),
                control=False,
            )
            for scenario, user, caps, runtime, engine in cells
        ]
    )
