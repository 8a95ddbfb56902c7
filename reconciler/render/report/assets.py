"""What the page carries to look like something: its style sheet, and a script it can do without.

Neither holds anything that differs between reports; the page admits them by their digests.
"""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --dim: #57606a; --line: #d0d7de;
  --soft: #f6f8fa; --good: #116329; --busy: #0a53be; --bad: #a40e26; --fill: #2f74d0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0f1318; --ink: #e6edf3; --dim: #9aa5b1; --line: #39424d; --soft: #181e26;
    --good: #57c26d; --busy: #79b8ff; --bad: #ff8f8a; --fill: #4a94ee; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: .5rem 0 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1rem; }
p { margin: .25rem 0; }
header p, caption, small, dt, figcaption, .dim { color: var(--dim); }
small { display: block; }
code, .message { font: .875rem/1.5 ui-monospace, monospace; }
a { color: var(--busy); }
:focus-visible { outline: 3px solid var(--fill); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .5rem; background: var(--paper); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 0; padding: 0;
  list-style: none; }
main:focus { outline: none; }
.converged { color: var(--good); } .pending { color: var(--busy); } .problem { color: var(--bad); }
.verdict { padding: .75rem 1rem; border: 1px solid var(--line);
  border-left: .5rem solid currentColor; border-radius: .4rem; background: var(--soft); }
.verdict p { color: var(--ink); } .verdict p:first-child { color: inherit; font-size: 1.25rem; }
i { display: inline-block; min-width: 1.25em; font-style: normal; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1rem 0 0; }
.tiles div { padding: .5rem .75rem; border: 1px solid var(--line); border-radius: .4rem; }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
dd small { font-size: .875rem; }
.troubles { margin: 0; padding: 0; list-style: none; }
.troubles li { margin: 0 0 .75rem; padding: .75rem 1rem; border: 1px solid var(--line);
  border-radius: .4rem; }
#tools { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center;
  margin: 0 0 .75rem; }
#tools[hidden], tr[hidden] { display: none; }
input, select { padding: .25rem .5rem; border: 1px solid var(--dim); border-radius: .3rem;
  background: var(--paper); color: var(--ink); font: inherit; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
#targets { min-width: 46rem; }
caption { padding: .25rem 0; text-align: left; }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: normal; font-variant-numeric: tabular-nums; }
thead th { font-weight: 600; white-space: nowrap; } tbody th { min-width: 9rem; }
.converged, .pending, .problem { overflow-wrap: break-word; }
td b { font-weight: 600; } td span { color: var(--ink); white-space: nowrap; }
tr:target { background: var(--soft); outline: 2px solid var(--fill); }
thead button { padding: 0; border: 0; background: none; color: inherit; font: inherit;
  cursor: pointer; text-decoration: underline dotted; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
.bar { display: block; width: 100%; min-width: 7rem; max-width: 16rem; height: .5rem;
  margin: .2rem 0; background: var(--line); }
.bar .fill { fill: currentColor; } .bar .mark { fill: var(--ink); } dd .bar { color: var(--fill); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; } .chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--dim); font-size: 13px; }
.chart .grid line { stroke: var(--line); } .chart .dots { fill: var(--fill); }
.chart .line { fill: none; stroke: var(--fill); stroke-width: 2; }
.chart .area { fill: var(--fill); fill-opacity: .15; }
details { margin: .75rem 0; } summary { cursor: pointer; }
@media print {
  :root { --paper: #fff; --ink: #000; --dim: #444; --line: #bbb; --soft: #fff; --good: #116329;
    --busy: #0a53be; --bad: #a40e26; --fill: #2f74d0; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip, #tools { display: none; } #targets { min-width: 0; }
  .wide { overflow: visible; }
  tr, li, figure, .verdict { break-inside: avoid; } thead { display: table-header-group; }
  .bar, .verdict { print-color-adjust: exact; }
  details::details-content { content-visibility: visible; }
}
"""

SCRIPT = """
(() => {
  const table = document.getElementById("targets"), tools = document.getElementById("tools");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows];
  const [word, state] = tools.querySelectorAll("input, select");
  const filter = () => {
    const part = word.value.toLowerCase();
    for (const row of rows)
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(part)
        || (state.value && row.dataset.s !== state.value);
    const shown = rows.filter((row) => !row.hidden).length;
    tools.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
  };
  const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
  const sort = (heading) => {
    const at = heading.cellIndex, up = heading.ariaSort !== "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort((a, b) => (up ? 1 : -1) * compare(value(a, at), value(b, at)));
    body.append(...rows);
  };
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.onclick = () => sort(heading);
    heading.append(button);
  }
  word.oninput = state.onchange = filter;
  tools.onsubmit = (event) => event.preventDefault();
  tools.hidden = false;
  filter();
})();
"""
