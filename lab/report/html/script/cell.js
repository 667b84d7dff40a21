// The page of one cell: everything that the run knows of it.

const DIALOG = document.getElementById("cell");

// All texts of a cell, for the query's `text`.
function cellTexts(cell) {
  const [verdictText, , , , , , , , , , , , seen] = readDetails().cells[cell];
  if (!seen) return textAt(verdictText);
  const [, , refusal, fault, , calls, , output] = seen;
  const said = calls.flatMap(([, , , , , stderr, stdout]) => [stderr, stdout]);
  return [verdictText, refusal, fault, ...said, output].map(textAt).join("\n");
}

function openCell(cell) {
  changeState((state) => { state.cell = MATRIX.ids[cell]; });
}

function closeCell() {
  if (history.state?.ours && history.length > 1) history.back();
  else changeState((state) => { state.cell = null; }, { replace: true });
}

DIALOG.addEventListener("cancel", (event) => {
  event.preventDefault();
  closeCell();
});
DIALOG.addEventListener("click", (event) => {
  if (event.target === DIALOG) closeCell(); // beside the page of the cell
});

function showCell(id) {
  const cell = NUMBERS.get(id);
  const parts = cell === undefined ? unknownCell(id) : cellParts(cell);
  const close = element("button", { type: "button", class: "close", "aria-label": "Close (Esc)", onclick: closeCell }, "✕");
  DIALOG.replaceChildren(close, ...parts);
  if (!DIALOG.open) DIALOG.showModal();
  DIALOG.scrollTop = 0;
  close.focus({ preventScroll: true });
}

function unknownCell(id) {
  return [
    element("h2", { id: "cell-title" }, "No such cell"),
    element("p", {}, "This run has no cell ", element("code", {}, escapeText(id)), "."),
  ];
}

function cellParts(cell) {
  const all = readDetails();
  const [verdictText, expectation, held, speaksFor, differs, started, tolerate, checks, digests, reusedFrom, prediction, surprise, seen] = all.cells[cell];
  const outcome = outcomeOf(cell);
  const [runtime, image, probe, config, settings] = digests.map(textAt);
  return [
    element("h2", { id: "cell-title" }, element("span", { class: `verdict ${outcome.kind}` }, longSign({ ...outcome, unmet: 0, surprise: 0 }), outcome.cause ? "" : ` ${outcome.kind}`)),
    element("p", { class: "mono" }, escapeText(MATRIX.ids[cell])),
    neighbours(cell),
    part("Verdict", factTable([
      ["verdict", outcome.kind],
      ["cause", outcome.cause && escapeText(outcome.cause) + (Object.hasOwn(MATRIX.causes, outcome.cause) ? `: ${MATRIX.causes[outcome.cause]}` : "")],
      ["phase", escapeText(outcome.phase)],
      [outcome.cause ? "evidence" : "reason", textBlock(textAt(verdictText))],
      ["tolerated", escapeText(textAt(tolerate))],
      ...checks.map((check) => ["check", escapeText(textAt(check))]),
      ...expectationFacts(all.expectations[expectation], held),
      ["error text", textAt(speaksFor) && `as written by ${escapeText(textAt(speaksFor))}${differs ? ", which is not the version that was asked for" : ""}`],
    ])),
    ...predictionParts(all.predictions[prediction], textAt(surprise), outcome.kind),
    part("Commands", ...commands(cell)),
    ...(seen ? observation(seen) : []),
    part("Axes", factTable(axisFacts(cell))),
    part("Provenance", factTable([
      ["runtime", runtime], ...describedFacts(all.runtimes[runtime], "runtime"),
      ["image", image], ...describedFacts(all.images[image], "image"),
      ["probe", probe], ["config.json", config], ["settings", settings],
      ["started", escapeText(textAt(started))],
      ["measured by", textAt(reusedFrom) && `run ${escapeText(textAt(reusedFrom))}`],
    ])),
    folded("config.json", Object.hasOwn(all.configs, config) ? pretty(textAt(all.configs[config])) : ""),
  ].filter(Boolean);
}

// The same combination along all versions: a strip of links, and where this cell stands in it.
function neighbours(cell) {
  const { table, row, column } = CELLS[cell];
  const { cells, columns } = MATRIX.scenarios[table];
  const strip = element("ol", { class: "strip", "aria-label": "The same combination with other versions" });
  cells[row].forEach((other, place) => {
    if (other < 0 || columns[place][0] !== columns[column][0]) return;
    const { kind } = outcomeOf(other);
    const name = escapeText(columns[place][1] + (columns[place][2] ? ` (${columns[place][2]})` : ""));
    const link = element("a", {
      href: cellHref(other), class: `verdict ${kind}`, "aria-current": other === cell ? "true" : null, "data-cell": other,
    }, `${shortSign(outcomeOf(other))} ${name}`);
    strip.append(element("li", {}, link));
  });
  return strip;
}

function cellHref(cell) {
  return "#" + new URLSearchParams([["cell", MATRIX.ids[cell]]]);
}

function part(title, ...children) {
  const shown = children.filter(Boolean);
  return shown.length ? element("section", {}, element("h3", {}, title), ...shown) : null;
}

function folded(title, text) {
  return text ? element("details", {}, element("summary", {}, title), textBlock(text)) : null;
}

function factTable(pairs) {
  const rows = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  if (!rows.length) return null;
  return element("table", { class: "facts" }, ...rows.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))));
}

function textBlock(text) {
  const shown = escapeText(text.replace(/\n+$/, ""), true);
  return shown ? element("pre", { tabindex: "0" }, shown) : "";
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function expectationFacts(wanted, held) {
  if (!wanted) return [["expected", "nothing: the scenario has no expectation for this cell"]];
  return [
    ["expected", `${wanted.words}, when ${escapeText(wanted.when)}`],
    ["held", held === null ? "cannot be told: the cell was skipped" : held ? "yes" : "NO"],
    ["source", wanted.source && webLink(wanted.source)],
  ];
}

function predictionParts({ words, era, source, reasoning }, surprise, kind) {
  const measured = era && ["passed", "denied", "failed"].includes(kind);
  return [
    part("Prediction, not a measurement", factTable([
      ["predicted", words],
      ["agrees", measured && (surprise ? `NO, a surprise: ${escapeText(surprise)}` : "yes")],
      ["order of calls", era && `era ${escapeText(era)} of docs/oracle.md`],
      ["changed by", escapeText(source)],
    ])),
    reasoning.length ? element("details", {}, element("summary", {}, "How the prediction comes about"),
      gridOf(["call", "by", "outcome"], reasoning.map((step) => step.map((words) => escapeText(words))))) : null,
  ];
}

function commands(cell) {
  const id = MATRIX.ids[cell];
  const scenario = MATRIX.scenarios[CELLS[cell].table].id;
  const runtime = axisValue(cell, "runtime");
  const again = ["permlab", "run", scenario, ...(runtime ? ["--runtimes", runtime] : []), "--cell", id];
  const link = permalink({ ...emptyState(), cell: id });
  return [
    ["print this record", shellWords("permlab", "show", id, "--run", MATRIX.run)],
    ["run it again", shellWords(...again)],
    ["link to this cell", link],
  ].map(([name, text]) => element("div", { class: "command" },
    element("span", { class: "muted" }, name), copyButton(text, `Copy: ${name}`), element("pre", { tabindex: "0" }, text)));
}

function axisFacts(cell) {
  const { fixed, axes } = MATRIX.scenarios[CELLS[cell].table];
  const names = new Set([...axes.map(([name]) => name), ...fixed.map(([name]) => name), "runtime"]);
  return [...names].map((name) => [escapeText(name), valueWords(axisValue(cell, name))]);
}

function describedFacts(facts, what) {
  return Object.entries(facts ?? {})
    .filter(([name, value]) => !["sha256", "digest"].includes(name) && value !== "" && JSON.stringify(value).length > 2)
    .map(([name, value]) => [`${what}: ${escapeText(name)}`, typeof value === "string" ? escapeText(value.trimEnd(), true) : factWords(value)]);
}

function observation([reached, exitCode, refusal, fault, seconds, calls, facts, output, host]) {
  const { found, other } = readFacts(facts.map(textAt), textAt(output));
  const starts = found.filter((fact) => fact.op === "start");
  const steps = found.filter((fact) => fact.op !== "start");
  return [
    part("What was seen", factTable([
      ["reached", escapeText(textAt(reached))],
      ["exit code", exitCode === null ? "" : String(exitCode)],
      ["refusal", textBlock(textAt(refusal))],
      ["fault", textBlock(textAt(fault))],
      ["seconds", seconds.map(([name, took]) => `${escapeText(textAt(name))} ${took}`).join(", ")],
    ])),
    ...calls.map(([verb, argv, ended, took, truncated, stderr, stdout]) => part(`Call: ${escapeText(textAt(verb))}`, factTable([
      ["argv", element("code", {}, escapeText(textAt(argv)))],
      ["ended", `${escapeText(textAt(ended))}, after ${took} s${truncated ? "; it wrote more than the lab keeps" : ""}`],
      ["stderr", textBlock(textAt(stderr))],
      ["stdout", textBlock(textAt(stdout))],
    ]))),
    part("The container's output", textBlock(other)),
    part("The probe's steps", stepTable(steps)),
    ...starts.map((fact) => part("The process at its start", factTable(
      Object.entries(fact).filter(([name]) => !["step", "op"].includes(name)).map(([name, value]) => [escapeText(name), factWords(value)])))),
    part("On the host", gridOf(["path", "before", "after"], host.map((place) => place.map((words) => escapeText(textAt(words)))))),
  ];
}

// Lines that are a JSON object with an `op` are facts; whatever else looks like one is output.
function readFacts(lines, output) {
  const found = [];
  const other = [];
  for (const line of lines) {
    try {
      const fact = JSON.parse(line);
      if (typeof fact.op !== "string") throw new TypeError("no fact");
      found.push(fact);
    } catch {
      other.push(line);
    }
  }
  return { found, other: [...other, output].filter(Boolean).join("\n") };
}

function stepTable(steps) {
  const known = ["step", "op", "args", "ok", "errno", "call"];
  return gridOf(["step", "op", "arguments", "result", "call", "facts"], steps.map((fact) => [
    factWords(fact.step ?? ""), factWords(fact.op), factWords(fact.args ?? ""),
    "ok" in fact ? (fact.ok === true ? "ok" : factWords(fact.errno ?? "no")) : "",
    factWords(fact.call ?? ""),
    factWords(Object.fromEntries(Object.entries(fact).filter(([name]) => !known.includes(name)))),
  ]));
}

function gridOf(head, rows) {
  if (!rows.length) return null;
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") }, element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, text)))))));
}

// Any JSON value in few characters: effective=00, bounding=ff; not deeper than six levels, whatever a stranger printed.
function factWords(value, depth = 0) {
  if (typeof value === "string") return escapeText(value);
  if (value === null || typeof value !== "object") return String(value);
  if (depth === 6) return "…";
  const inner = (one) => (one !== null && typeof one === "object" ? `(${factWords(one, depth + 1)})` : factWords(one, depth));
  if (Array.isArray(value)) return value.map(inner).join(", ");
  return Object.entries(value).map(([name, one]) => `${escapeText(name)}=${inner(one)}`).join(", ");
}
