(() => {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  // A page of a stage is another document: it is told which of the two was chosen.
  const framed = document.getElementById("framed");
  const source = framed?.getAttribute("src");
  const tell = () => { if (framed && root.dataset.theme) framed.src = `${source}?theme=${root.dataset.theme}`; };
  tell();
  document.getElementById("theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    tell();
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a private window keeps nothing */ }
  });

  // On a phone the links run out of the bar: the one of this page is brought into view.
  const links = document.querySelector(".bar nav");
  const current = links?.querySelector("[aria-current]");
  if (current) links.scrollLeft = current.offsetLeft - links.offsetLeft - (links.clientWidth - current.offsetWidth) / 2;

  // Times are those of the reader's clock.
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) time.textContent = moment.toLocaleString(root.lang === "vi" ? "vi-VN" : "en-GB", { dateStyle: "short", timeStyle: "short" });
  }

  // A name can be typed as soon as its field is shown, in the place of the one it has.
  for (const rename of document.querySelectorAll(".rename")) {
    rename.addEventListener("toggle", () => { if (rename.open) rename.querySelector("input[name=text]")?.select(); });
  }

  const keys = document.getElementById("keys");
  document.getElementById("keys-open")?.addEventListener("click", () => keys.showModal());
  const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, dialog") !== null;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const digit = /^[1-9]$/.test(event.key) ? document.querySelector(`[data-digit="${event.key}"]`) : null;
    const arrow = { ArrowRight: "j", ArrowLeft: "k" }[event.key];
    const key = arrow ?? event.key.toLowerCase();
    const target = digit ?? (/^[a-z?]$/.test(key) ? document.querySelector(`[data-key="${key}"]`) : null);
    if (target === null) return;
    event.preventDefault();
    target.click();
    if (digit) digit.focus();
  });

  const ask = document.getElementById("ask");
  if (ask === null) return;
  const picture = document.getElementById("picture");
  const drop = document.getElementById("drop");
  const send = (files) => {
    const image = [...files].find((file) => file.type.startsWith("image/"));
    if (image === undefined) return false;
    const transfer = new DataTransfer();
    transfer.items.add(image);
    picture.files = transfer.files;
    ask.requestSubmit();
    return true;
  };
  picture.addEventListener("change", () => { if (picture.files.length) ask.requestSubmit(); });
  document.addEventListener("paste", (event) => { if (send(event.clipboardData.files)) event.preventDefault(); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (send(event.dataTransfer.files)) return;
    const text = event.dataTransfer.getData("text/uri-list") || event.dataTransfer.getData("text/plain");
    if (text) { document.getElementById("words").value = text.split("\n")[0]; ask.requestSubmit(); }
  });
})();
