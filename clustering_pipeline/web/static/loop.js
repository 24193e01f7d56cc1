(() => {
  // A workbook that is dropped anywhere on the start page is looked into at once.
  const arrive = document.getElementById("arrive");
  if (arrive !== null) {
    const file = document.getElementById("file");
    const drop = document.getElementById("drop");
    const links = document.getElementById("links");
    const large = document.getElementById("too-large");
    const send = () => {
      // The server would break off in the middle of it.
      large.hidden = ![...file.files].some((one) => one.size > Number(arrive.dataset.most));
      if (!large.hidden) { file.value = ""; return; }
      arrive.classList.add("busy");
      arrive.requestSubmit();
    };
    file.addEventListener("change", () => { if (file.files.length) send(); });
    document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    document.addEventListener("dragleave", () => drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) { file.files = event.dataTransfer.files; send(); return; }
      const text = event.dataTransfer.getData("text/plain");
      if (text) { links.value = text; send(); }
    });
    document.addEventListener("paste", (event) => {
      if (event.target.closest("input, textarea")) return;
      if (event.clipboardData.files.length) { file.files = event.clipboardData.files; send(); return; }
      const text = event.clipboardData.getData("text/plain");
      if (text.includes("://")) { links.closest("details").open = true; links.value = text; links.focus(); }
    });
  }

  // Another column or sheet is shown as soon as it is chosen.
  const choosing = document.getElementById("choosing");
  choosing?.addEventListener("change", (event) => {
    if (event.target.tagName === "SELECT") choosing.requestSubmit(choosing.querySelector(".show-choice"));
  });

  // How far a run is, asked every second; the page of what came of it when it has ended.
  const run = document.getElementById("run");
  if (run !== null) {
    const look = async () => {
      try {
        const reply = await fetch(run.dataset.standing);
        if (reply.ok) {
          run.innerHTML = await reply.text();
          const state = document.getElementById("standing-now").dataset.state;
          if (["done", "failed", "cancelled"].includes(state)) { location.reload(); return; }
        }
      } catch { /* the server is away for a moment: the work goes on without it */ }
      setTimeout(look, 1000);
    };
    setTimeout(look, 1000);
  }

  // What came of a split is named at once; on a phone the keyboard would hide it.
  if (matchMedia("(min-width: 700px)").matches) document.querySelector("[data-focus]")?.focus();

  const copy = document.getElementById("copy");
  copy?.addEventListener("click", async () => {
    const link = document.getElementById("share-link");
    link.select();
    await navigator.clipboard?.writeText(link.value);
    copy.textContent = copy.dataset.copied;
  });
})();
