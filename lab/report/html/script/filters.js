// The query box and the filters: every change is a new address.

const MOST_VALUES = 60; // an axis with more is filtered by the query box

const QUERY = element("input", {
  id: "query", type: "search", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
  "aria-describedby": "query-fault", placeholder: "runtime>=1.1 & verdict=denied",
});
const FAULT = element("p", { id: "query-fault", class: "fault", role: "alert" });
const EXAMPLES = ["verdict=denied", "runtime>=1.1 & !verdict=passed", "seq(passed denied passed)", "unmet=yes"];
const CHOICES = [];
const VIEW = element("select", { id: "view" }, ...Object.entries(VIEWS).map(([value, words]) => element("option", { value }, words)));

function choice(title, values, get) {
  const boxes = values.map(([value, words, kind]) => {
    const box = element("input", { type: "checkbox", value });
    box.addEventListener("change", () => changeState((state) => {
      if (box.checked) get(state).add(value);
      else get(state).delete(value);
    }));
    return [box, element("label", { class: kind ? `verdict ${kind}` : null }, box, ` ${words}`)];
  });
  const summary = element("summary", {}, title);
  const made = element("details", { class: "choice" }, summary, element("div", { class: "options" }, ...boxes.map(([, label]) => label)));
  CHOICES.push((state) => {
    const on = get(state);
    boxes.forEach(([box]) => { box.checked = on.has(box.value); });
    summary.textContent = on.size ? `${title} (${on.size})` : title;
    made.classList.toggle("active", on.size > 0);
  });
  return made;
}

function tally(get) {
  const found = new Map();
  for (let cell = 0; cell < CELLS.length; cell++) {
    const value = get(cell);
    if (value) found.set(value, (found.get(value) ?? 0) + 1);
  }
  return found;
}

function buildFilters(place) {
  const kinds = tally((cell) => outcomeOf(cell).kind);
  const causes = tally((cell) => outcomeOf(cell).cause);
  const tables = MATRIX.scenarios.filter((table) => !table.control);
  const choices = [
    choice("verdict", KINDS.filter((kind) => kinds.has(kind)).map((kind) => [kind, `${kind} ${kinds.get(kind).toLocaleString("en")}`, kind]), (state) => state.verdict),
  ];
  if (causes.size) choices.push(choice("cause", [...causes].sort().map(([cause, number]) => [cause, `${escapeText(cause)} ${number.toLocaleString("en")}`]), (state) => state.cause));
  if (tables.length > 1) choices.push(choice("scenario", tables.map(({ id }) => [id, escapeText(id)]), (state) => state.scenario));
  for (const [axis, values] of filterAxes(tables)) {
    if (values.length > 1 && values.length <= MOST_VALUES) {
      choices.push(choice(escapeText(axis), values.map((value) => [value ?? ABSENT, valueWords(value)]), (state) => chosen(state, axis)));
    }
  }
  const examples = EXAMPLES.map((text) => element("button", { type: "button", class: "example mono", onclick: () => changeState((state) => { state.q = text; }) }, text));
  place.append(
    element("div", { class: "row" }, element("label", { for: "query" }, "Query"), QUERY,
      element("label", { for: "view" }, "A column for each"), VIEW,
      element("button", { type: "button", id: "clear", onclick: () => changeState((state) => Object.assign(state, emptyState(), { view: state.view })) }, "Show all")),
    FAULT,
    element("details", { class: "help" }, element("summary", {}, "Examples"), element("p", { class: "row" }, ...examples)),
    element("div", { class: "row choices" }, ...choices),
  );
  place.hidden = false;
}

function filterAxes(tables) {
  const found = new Map();
  for (const table of tables) {
    for (const [name, values] of [...table.axes, ...table.fixed.map(([axis, value]) => [axis, [value]])]) {
      found.set(name, [...new Set([...(found.get(name) ?? []), ...values])]);
    }
    const lines = table.columns.map(([family, , , line]) => `${family} ${line}`);
    const engines = table.columns.map(([, , engine]) => engine).filter(Boolean);
    if (engines.length) found.set("engine", [...new Set([...(found.get("engine") ?? []), ...engines])]);
    found.set("line", [...new Set([...(found.get("line") ?? []), ...lines])]);
  }
  return found;
}

let typing = null;
QUERY.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => changeState((state) => { state.q = QUERY.value; }, { replace: true }), 150);
});
QUERY.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  clearTimeout(typing);
  changeState((state) => { state.q = QUERY.value; });
});
VIEW.addEventListener("change", () => changeState((state) => { state.view = VIEW.value; }));

// An open choice closes with Esc, and when the next place is clicked.
document.addEventListener("click", (event) => {
  document.querySelectorAll(".choice[open]").forEach((one) => { if (!one.contains(event.target)) one.open = false; });
});
document.addEventListener("keydown", (event) => {
  const open = event.target.closest?.(".choice[open]");
  if (event.key === "Escape" && open) {
    open.open = false;
    open.firstElementChild.focus();
  }
});
