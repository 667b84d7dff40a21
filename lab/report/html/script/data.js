// The two data blocks; lab/report/html/data.py writes them.

const MATRIX = JSON.parse(document.getElementById("matrix-data").textContent);
const CELLS = []; // number of a cell → { table, row, column }, all places in MATRIX
const NUMBERS = new Map(MATRIX.ids.map((id, number) => [id, number]));

MATRIX.scenarios.forEach((table, place) => {
  table.cells.forEach((row, rowPlace) => row.forEach((cell, column) => {
    if (cell >= 0) CELLS[cell] = { table: place, row: rowPlace, column };
  }));
  table.fixedValues = new Map(table.fixed);
  table.axisPlaces = new Map(table.axes.map(([name], axis) => [name, axis]));
});

let details = null;

// Everything else of the run; large, so it is read when it is needed first.
function readDetails() {
  details ??= JSON.parse(document.getElementById("details-data").textContent);
  return details;
}

// A text by its reference: a place, or [place, number…] for a text with gaps.
function textAt(reference) {
  const { texts } = readDetails();
  if (!Array.isArray(reference)) return texts[reference];
  const [place, ...numbers] = reference;
  return texts[place].split("\0").map((part, gap) => (gap ? numbers[gap - 1] + part : part)).join("");
}

function outcomeOf(cell) {
  const [kind, cause, phase, unmet, surprise, derived] = MATRIX.outcomes[MATRIX.cells[cell]];
  return { kind, cause, phase, unmet, surprise, derived };
}

function columnOf(cell) {
  const { table, column } = CELLS[cell];
  const [family, version, engine, line, era] = MATRIX.scenarios[table].columns[column];
  return { family, version, engine, line, era };
}

function runtimeName({ family, version }) {
  return version ? `${family}@${version}` : family;
}

// The value of an axis; null where the cell does not have the axis.
function axisValue(cell, name) {
  const { table, row } = CELLS[cell];
  const of = MATRIX.scenarios[table];
  if (of.axisPlaces.has(name)) {
    const place = of.axisPlaces.get(name);
    return of.axes[place][1][of.rows[row][place]];
  }
  if (of.fixedValues.has(name)) return of.fixedValues.get(name);
  if (name === "runtime") return runtimeName(columnOf(cell)); // where releases are the columns, runtimes are in the rows
  return name === "engine" ? columnOf(cell).engine || null : null;
}

function valueWords(value) {
  return value === null ? "—" : escapeText(value) || "(empty)";
}

function outcomeWords({ kind, cause, phase, unmet, surprise, derived }) {
  const words = cause ? `${kind}: ${escapeText(cause)} (phase ${escapeText(phase)})` : kind;
  return words + (derived ? ", derived from a rule, not measured" : "") + (unmet ? ", not as expected" : "") + (surprise ? ", not as predicted" : "");
}

// What stands before a sign: the expectation was not met, the prediction neither.
function marks({ unmet, surprise }) {
  return (unmet ? "!" : "") + (surprise ? "≠" : "");
}
