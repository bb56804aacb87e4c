"use strict";
const dialog = document.getElementById("call");
const told = document.getElementById("told");
let chosen = null;

// What packed() in page.py has packed.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return await new Response(stream).text();
}

// A ladder brings rules of its own for `svg` and `text`: in a shadow root they hold for it alone.
function apart(template) {
  const host = template.parentElement;
  host.attachShadow({mode: "open"}).append(template.content);
}

async function open(button) {
  const packed = document.getElementById("of-" + button.dataset.call);
  if (!packed) return;
  chosen?.removeAttribute("aria-pressed");
  (chosen = button).setAttribute("aria-pressed", "true");
  told.innerHTML = await unpacked(packed.textContent);
  told.querySelectorAll(".ladder > template").forEach(apart);
  document.getElementById("call-name").textContent = told.firstElementChild.textContent;
  told.firstElementChild.remove();
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  history.replaceState(null, "", "#" + button.dataset.call);
}

document.addEventListener("click", event => {
  const button = event.target.closest("button[data-call]");
  if (button) open(button);
  else if (event.target === dialog || event.target.id === "close") dialog.close();
});
dialog.addEventListener("close", () => {
  told.replaceChildren();
  history.replaceState(null, "", location.pathname + location.search);
  chosen?.focus();
});

// The grid is one stop of the Tab key; arrows, Home and End go from call to call.
const heat = document.querySelector(".heat");
if (heat) {
  const rows = [...heat.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.querySelector("button")));
  const all = rows.flat().filter(Boolean);
  const stop = button => all.forEach(one => { one.tabIndex = one === button ? 0 : -1; });
  const steps = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]};
  let current = all[0];
  stop(current);
  heat.addEventListener("focusin", event => {
    if (event.target.tagName !== "BUTTON" || event.target === current) return;
    current.tabIndex = -1;
    (current = event.target).tabIndex = 0;
  });
  heat.addEventListener("keydown", event => {
    let next = event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : null;
    const step = steps[event.key];
    if (step) {
      let row = event.target.closest("tr").sectionRowIndex, column = event.target.closest("td").cellIndex;
      do [row, column] = [row + step[0], column + step[1]]; while (rows[row] && column in rows[row] && !rows[row][column]);
      next = rows[row]?.[column];
    }
    if (!next && !step) return;
    event.preventDefault();
    next?.focus();
  });
}

// A link to a call opens it.
const linked = document.querySelector(`button[data-call="${CSS.escape(location.hash.slice(1))}"]`);
if (linked) open(linked);
