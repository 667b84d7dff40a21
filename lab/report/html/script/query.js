// The query box: `runtime>=1.1 & verdict=denied`, `seq(passed denied passed)`. docs/html-report.md describes it.

class QueryError extends Error {
  constructor(message, at) {
    super(`${message} (at character ${at + 1})`);
  }
}

const KINDS = ["passed", "denied", "failed", "skipped", "errored"];
const TOKEN = /\s*(?:(?<op><=|>=|!=|[=<>~&|!()])|"(?<quoted>(?:[^"\\]|\\.)*)"|(?<word>[^\s&|!()=<>~"]+)|(?<bad>\S))/gy;
const DEEPEST = 40;

// PEP 440, as far as versions of runtimes need it; builds (+debian11) are left out, as everywhere in the lab.
function parseVersion(text) {
  const found = /^v?(\d+(?:\.\d+)*)(?:[-._]?(a|alpha|b|beta|c|rc|pre|preview)[-._]?(\d*))?(?:-(\d+)|[-._]?post[-._]?(\d*))?(?:[-._]?dev[-._]?(\d*))?(?:\+[\w.-]+)?$/i.exec(text);
  if (!found) return null;
  const release = found[1].split(".").map(Number);
  while (release.length > 1 && release.at(-1) === 0) release.pop();
  const stage = { a: 0, b: 1, c: 2, r: 2, p: 2 }[(found[2] ?? "").toLowerCase()[0]];
  const post = found[4] ?? found[5];
  const dev = found[6];
  let pre = found[2] ? [stage, Number(found[3] || 0)] : [3, 0];
  if (!found[2] && post === undefined && dev !== undefined) pre = [-1, 0];
  return {
    release,
    isPre: Boolean(found[2]) || dev !== undefined,
    isPost: post !== undefined,
    rest: [...pre, post === undefined ? -1 : Number(post || 0), dev === undefined ? Infinity : Number(dev || 0)],
  };
}

function compareVersions(one, other) {
  for (let place = 0; place < Math.max(one.release.length, other.release.length); place++) {
    const difference = (one.release[place] ?? 0) - (other.release[place] ?? 0);
    if (difference) return difference;
  }
  for (let place = 0; place < one.rest.length; place++) {
    if (one.rest[place] !== other.rest[place]) return one.rest[place] - other.rest[place];
  }
  return 0;
}

// As in --runtimes: <1.1 leaves out 1.1.0-rc.1, and >1.1 a later build of 1.1.
function versionFits(version, operator, bound) {
  const order = compareVersions(version, bound);
  const sameRelease = compareVersions({ release: version.release, rest: [] }, bound) === 0;
  if (operator === "<=") return order <= 0;
  if (operator === ">=") return order >= 0;
  if (operator === "<") return order < 0 && !(version.isPre && !bound.isPre && sameRelease);
  return order > 0 && !(version.isPost && !bound.isPost && sameRelease);
}

function globTest(pattern) {
  const source = pattern.replace(/[.*+?^${}()|[\]\\]/g, (one) => (one === "*" ? ".*" : one === "?" ? "." : "\\" + one));
  const known = new RegExp(`^${source}$`, "su");
  return (text) => known.test(text);
}

const FIELDS = {
  verdict: (cell) => outcomeOf(cell).kind,
  cause: (cell) => outcomeOf(cell).cause,
  phase: (cell) => outcomeOf(cell).phase,
  unmet: (cell) => (outcomeOf(cell).unmet ? "yes" : "no"),
  surprise: (cell) => (outcomeOf(cell).surprise ? "yes" : "no"),
  scenario: (cell) => MATRIX.scenarios[CELLS[cell].table].id,
  cell: (cell) => MATRIX.ids[cell],
  line: (cell) => columnOf(cell).line,
  era: (cell) => String(columnOf(cell).era + 1),
  text: (cell) => cellTexts(cell),
};

function knownAxes() {
  const names = MATRIX.scenarios.flatMap((table) => [...table.axisPlaces.keys(), ...table.fixedValues.keys()]);
  return [...new Set([...names, "runtime", "engine"])];
}

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const { op, quoted, word, bad } = match.groups;
    const at = TOKEN.lastIndex - match[0].trimStart().length;
    if (bad) throw new QueryError(bad === '"' ? "a quote is not closed" : `${bad} is not understood`, at);
    const value = quoted === undefined ? word : quoted.replace(/\\(.)/g, "$1");
    found.push({ op, value, plain: word !== undefined, at });
    if (TOKEN.lastIndex >= text.length) break;
  }
  return found;
}

// Text → a test of a cell's number. Throws QueryError.
function compileQuery(text) {
  const list = tokens(text);
  let place = 0;
  const peek = (op) => list[place]?.op === op;
  const word = (name) => list[place]?.plain && list[place].value.toLowerCase() === name;
  const here = () => list[place]?.at ?? text.length;
  const take = (op) => {
    if (!peek(op)) throw new QueryError(`expected ${op}`, here());
    place += 1;
  };

  function either(depth) {
    const parts = [both(depth)];
    while (peek("|") || word("or")) { place += 1; parts.push(both(depth)); }
    return parts.length > 1 ? (cell) => parts.some((part) => part(cell)) : parts[0];
  }
  function both(depth) {
    const parts = [one(depth)];
    while (peek("&") || word("and")) { place += 1; parts.push(one(depth)); }
    return parts.length > 1 ? (cell) => parts.every((part) => part(cell)) : parts[0];
  }
  function one(depth) {
    if (depth > DEEPEST) throw new QueryError("it is nested too deeply", here());
    if (peek("!") || word("not")) {
      place += 1;
      const inner = one(depth + 1);
      return (cell) => !inner(cell);
    }
    if (peek("(")) {
      place += 1;
      const inner = either(depth + 1);
      take(")");
      return inner;
    }
    return term();
  }
  function term() {
    const name = list[place];
    if (!name || name.op) throw new QueryError("expected a comparison such as verdict=denied", here());
    place += 1;
    if (name.plain && name.value.toLowerCase() === "seq" && peek("(")) return sequence(name.at);
    const operator = list[place]?.op;
    if (!["=", "!=", "~", "<", "<=", ">", ">="].includes(operator)) {
      const wanted = name.value.toLowerCase(); // a word by itself: part of the cell's id
      return (cell) => MATRIX.ids[cell].toLowerCase().includes(wanted);
    }
    place += 1;
    const value = list[place];
    if (!value || value.op) throw new QueryError(`expected a value after ${name.value}${operator}`, here());
    place += 1;
    return comparison(name, operator, value);
  }
  function sequence(at) {
    place += 1;
    const items = [];
    while (list[place] && !list[place].op) items.push(list[place++]);
    take(")");
    if (!items.length) throw new QueryError("seq needs verdicts, for example seq(passed denied passed)", at);
    return sequenceTest(items);
  }

  if (!list.length) return () => true;
  const compiled = either(0);
  if (place < list.length) throw new QueryError("expected & or |", here());
  return compiled;
}

function comparison({ value: name, at }, operator, { value, at: valueAt }) {
  const axes = knownAxes();
  const read = Object.hasOwn(FIELDS, name) && !axes.includes(name) ? FIELDS[name] : null;
  if (!read && !axes.includes(name)) {
    const fields = Object.keys(FIELDS).join(", ");
    throw new QueryError(`there is no ${escapeText(name)} here; axes: ${axes.map((axis) => escapeText(axis)).join(", ")}; other: ${fields}`, at);
  }
  if (["<", "<=", ">", ">="].includes(operator)) return orderTest(name, operator, value, at, valueAt);
  if (name === "verdict" && operator !== "~" && !value.includes("*") && !KINDS.includes(value)) {
    throw new QueryError(`${escapeText(value)} is no verdict (${KINDS.join(", ")})`, valueAt);
  }
  const test = operator === "~" ? containsTest(value) : name === "runtime" ? runtimeTest(value) : globTest(value);
  const get = read ?? ((cell) => axisValue(cell, name) ?? "");
  return operator === "!=" ? (cell) => !test(get(cell)) : (cell) => test(get(cell));
}

function containsTest(value) {
  const wanted = value.toLowerCase();
  return (text) => text.toLowerCase().includes(wanted);
}

// runc · 1.1.5 (of any runtime, any build) · runc@1.1.5+debian12 · runc@1.1.*
function runtimeTest(value) {
  const whole = globTest(value);
  const bound = value.includes("@") ? null : parseVersion(value);
  return (runtime) => {
    const [family, version] = split(runtime);
    if (whole(runtime) || family === value) return true;
    const known = bound && parseVersion(version);
    return Boolean(known) && compareVersions(known, bound) === 0;
  };
}

function split(runtime) {
  const at = runtime.indexOf("@");
  return at < 0 ? [runtime, ""] : [runtime.slice(0, at), runtime.slice(at + 1)];
}

function orderTest(name, operator, value, at, valueAt) {
  if (name !== "runtime" && name !== "line") throw new QueryError(`${escapeText(name)} has no order; only runtime and line have`, at);
  const [family, text] = value.includes("@") ? split(value) : ["", value];
  const bound = parseVersion(text);
  if (!bound) throw new QueryError(`${escapeText(text)} is not a version`, valueAt);
  return (cell) => {
    const column = columnOf(cell);
    if (family && family !== column.family) return false;
    const version = parseVersion(name === "line" ? column.line : column.version);
    return Boolean(version) && versionFits(version, operator, bound);
  };
}

// Rows whose answers along the ordered versions of one runtime hold the sequence; each word stands for one version or
// more. What was skipped, errored or not run is unknown, and stands in no sequence.
function sequenceTest(items) {
  const causes = new Set(MATRIX.outcomes.map(([, cause]) => cause).filter(Boolean));
  const tests = items.map(({ value, at }) => {
    if (["skipped", "errored"].includes(value)) throw new QueryError(`${value} says nothing of a container, so it stands in no sequence`, at);
    const [kind, cause] = KINDS.includes(value.split(":")[0]) ? value.split(":") : [null, value];
    if (!kind && !causes.has(cause)) {
      throw new QueryError(`${escapeText(value)} is neither a verdict nor a cause of this run`, at);
    }
    return (found) => (!kind || found.kind === kind) && (!cause || found.cause === cause);
  });
  const answers = new Map();
  return (cell) => {
    const { table, row } = CELLS[cell];
    const { family, engine } = columnOf(cell);
    const key = `${table} ${row} ${family} ${engine}`;
    if (!answers.has(key)) answers.set(key, holdsSequence(tests, table, row, family, engine));
    return answers.get(key);
  };
}

function holdsSequence(tests, table, row, family, engine) {
  const { cells, columns } = MATRIX.scenarios[table];
  let states = new Set();
  for (let column = 0; column < columns.length; column++) {
    const cell = cells[row][column];
    if (cell < 0 || columns[column][0] !== family || columns[column][2] !== engine) continue;
    const found = outcomeOf(cell);
    if (found.kind === "skipped" || found.kind === "errored") continue;
    const next = new Set(tests[0](found) ? [0] : []);
    for (const state of states) {
      if (tests[state](found)) next.add(state);
      if (state + 1 < tests.length && tests[state + 1](found)) next.add(state + 1);
    }
    if (next.has(tests.length - 1)) return true;
    states = next;
  }
  return false;
}
