(() => {
  const grid = document.getElementById("members");
  if (grid === null) return;
  const boxes = [...grid.querySelectorAll("input[type=checkbox]")];
  let last = null, band = null, start = null, before = [], dragged = false;

  // Shift takes everything from the last one to this.
  grid.addEventListener("click", (event) => {
    if (dragged) { event.preventDefault(); dragged = false; return; }
    const box = event.target.closest("input[type=checkbox]");
    if (box === null) return;
    if (event.shiftKey && last !== null && last !== box) {
      const [first, second] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      for (const one of boxes.slice(first, second + 1)) one.checked = box.checked;
    }
    last = box;
  });
  // A label passes the click on to its box, without the keys that were held.
  grid.addEventListener("click", (event) => {
    const label = event.target.closest("label");
    if (!event.shiftKey || label === null || event.target.matches("input")) return;
    event.preventDefault();
    const box = label.querySelector("input");
    box.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true, cancelable: true }));
    box.focus();
  }, true);

  // A box drawn with the mouse takes what it touches; with Ctrl to what is selected.
  grid.addEventListener("dragstart", (event) => event.preventDefault());
  grid.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.target.closest("a, input")) return;
    start = [event.clientX, event.clientY];
    before = boxes.map((box) => box.checked && (event.ctrlKey || event.metaKey));
  });
  addEventListener("pointermove", (event) => {
    if (start === null) return;
    const [left, right] = [start[0], event.clientX].sort((a, b) => a - b);
    const [top, bottom] = [start[1], event.clientY].sort((a, b) => a - b);
    if (band === null) {
      if (right - left < 6 && bottom - top < 6) return;
      band = document.createElement("div");
      band.className = "band";
      document.body.append(band);
    }
    Object.assign(band.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    boxes.forEach((box, place) => {
      const tile = box.closest("label").getBoundingClientRect();
      box.checked = before[place] || (tile.left < right && tile.right > left && tile.top < bottom && tile.bottom > top);
    });
  });
  const end = () => {
    if (band !== null) { band.remove(); dragged = true; setTimeout(() => { dragged = false; }); }
    start = band = null;
  };
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
})();
