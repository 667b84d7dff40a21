// What the page shows, as the fragment of its address: a permalink, with a history that the back button walks.
// #q=QUERY&verdict=denied&cause=…&axis.user=1000:0&view=era&cell=ID; ?… is read too, the fragment first.

const VIEWS = { version: "version", line: "line of versions", era: "era" };
const ABSENT = "—"; // stands for cells that do not have the axis
const LISTENERS = [];

function emptyState() {
  return { q: "", verdict: new Set(), cause: new Set(), scenario: new Set(), axes: new Map(), view: null, cell: null };
}

function readState(address = location) {
  const state = emptyState();
  const pairs = [...new URLSearchParams(address.search), ...new URLSearchParams(address.hash.slice(1))];
  for (const [name, value] of pairs) {
    if (name === "q") state.q = value;
    else if (name === "cell") state.cell = value;
    else if (name === "view") state.view = Object.hasOwn(VIEWS, value) ? value : null;
    else if (["verdict", "cause", "scenario"].includes(name)) state[name].add(value);
    else if (name.startsWith("axis.")) chosen(state, name.slice(5)).add(value);
  }
  return state;
}

function chosen(state, axis) {
  if (!state.axes.has(axis)) state.axes.set(axis, new Set());
  return state.axes.get(axis);
}

function stateFragment(state) {
  const pairs = [];
  if (state.q) pairs.push(["q", state.q]);
  for (const name of ["scenario", "verdict", "cause"]) state[name].forEach((value) => pairs.push([name, value]));
  state.axes.forEach((values, axis) => values.forEach((value) => pairs.push([`axis.${axis}`, value])));
  if (state.view) pairs.push(["view", state.view]);
  if (state.cell) pairs.push(["cell", state.cell]);
  return "#" + new URLSearchParams(pairs);
}

// The address of the page in a state; one that names a cell shows it alone, whatever is filtered here.
function permalink(state) {
  return location.href.split(/[?#]/)[0] + stateFragment(state);
}

// Change the state; `replace` for steps that the back button should not walk through, such as typing.
function changeState(change, { replace = false } = {}) {
  const state = readState();
  change(state);
  const address = location.pathname + stateFragment(state);
  history[replace ? "replaceState" : "pushState"]({ ours: !replace || Boolean(history.state?.ours) }, "", address);
  announce();
}

function announce() {
  const state = readState();
  LISTENERS.forEach((listener) => listener(state));
}

// A state → a test of a cell's number; throws QueryError.
function compileState(state) {
  const tests = [compileQuery(state.q)];
  if (state.verdict.size) tests.push((cell) => state.verdict.has(outcomeOf(cell).kind));
  if (state.cause.size) tests.push((cell) => state.cause.has(outcomeOf(cell).cause));
  if (state.scenario.size) tests.push((cell) => state.scenario.has(MATRIX.scenarios[CELLS[cell].table].id));
  state.axes.forEach((values, axis) => {
    if (values.size) tests.push((cell) => values.has(filterValue(cell, axis)));
  });
  return (cell) => tests.every((test) => test(cell));
}

// Runtimes are filtered by their lines ("runc 1.0"): a box for each of a hundred versions would be none.
function filterValue(cell, axis) {
  if (axis === "line") {
    const { family, line } = columnOf(cell);
    return `${family} ${line}`;
  }
  return axisValue(cell, axis) ?? ABSENT;
}
