// Texts of strangers, made harmless for people; elements without any markup from texts.

const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };

// What lab/report/escape.py does: all that is not printable stands as an escape, so that nothing can act or hide.
function escapeText(text, lines = false) {
  return text.replace(/[\p{C}\p{Z}]/gu, (one) => {
    if (one === " " || (lines && one === "\n")) return one;
    const code = one.codePointAt(0);
    if (code >= 0xdc80 && code < 0xdd00) return "\\x" + (code - 0xdc00).toString(16).padStart(2, "0"); // no UTF-8
    if (code < 0x100) return SHORT[one] ?? "\\x" + code.toString(16).padStart(2, "0");
    return code < 0x10000 ? "\\u" + code.toString(16).padStart(4, "0") : "\\U" + code.toString(16).padStart(8, "0");
  });
}

// An element; children are elements or plain texts. The page never makes markup of a text.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// A link to the web, or the plain text where the address is none that a reader may follow.
function webLink(address) {
  const shown = escapeText(address);
  return /^https?:\/\//.test(address) ? element("a", { href: address, rel: "noreferrer noopener" }, shown) : shown;
}

function shellQuote(word) {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return "'" + word.replaceAll("'", "'\"'\"'") + "'";
}

function shellWords(...words) {
  return words.map((word) => escapeText(shellQuote(word))).join(" ");
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

// The clipboard needs a secure context, which a plain http page is not; the old way needs a selection.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "skip", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function copyButton(text, label) {
  const button = element("button", { type: "button", class: "copy", "aria-label": label }, "copy");
  const said = element("span", { role: "status" });
  button.addEventListener("click", async () => {
    said.textContent = (await copyText(text)) ? " copied" : " select it and copy";
    button.focus();
    setTimeout(() => { said.textContent = ""; }, 2000);
  });
  return element("span", {}, button, said);
}
