(() => {
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const filter = document.getElementById("filter");
  const cards = [...document.querySelectorAll(".cluster")];
  const shown = document.getElementById("shown");
  filter?.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const card of cards) {
      card.hidden = wanted !== "" && !card.dataset.words.includes(wanted);
      count += card.hidden ? 0 : 1;
    }
    shown.textContent = count;
  });
})();
