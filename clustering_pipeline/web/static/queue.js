(() => {
  const queue = document.getElementById("queue");
  const form = document.getElementById("answer");
  const undo = document.getElementById("undo");
  if (queue === null || form === null) return;
  const base = queue.dataset.base;
  const place = document.getElementById("question");
  const buttons = form.querySelector(".answers");
  const back = buttons.querySelector(".back");
  const problem = document.getElementById("queue-problem");
  const standing = document.getElementById("standing");
  const ahead = [];
  const answered = [];
  let current = { key: keyOf(), html: place.innerHTML };
  let sending = Promise.resolve();
  let waiting = false;

  function keyOf() {
    const field = (name) => place.querySelector(`[name=${name}]`)?.value;
    return field("a") === undefined ? null : `${field("a")}-${field("b")}`;
  }
  const known = (key) => key === current.key || [...ahead, ...answered].some((one) => one.key === key);
  const post = async (address, values) => {
    const reply = await fetch(address, { method: "POST", headers: { accept: "application/json" }, body: new URLSearchParams({ secret: form.elements.secret.value, ...values }) });
    if (!reply.ok) throw new Error(String(reply.status));
    return reply.json();
  };
  const show = (question) => {
    current = question ?? { key: null, html: document.getElementById("no-question").innerHTML };
    place.innerHTML = current.html;
    buttons.hidden = current.key === null && answered.length === 0;
    for (const button of buttons.querySelectorAll("[name=kind]")) button.disabled = current.key === null;
    back.disabled = answered.length === 0;
    problem.hidden = true;
  };
  const fetchAhead = async () => {
    const reply = await fetch(`${base}/next?count=6`);
    if (!reply.ok) throw new Error(String(reply.status));
    for (const question of await reply.json()) {
      if (known(question.key)) continue;
      ahead.push(question);
      const held = document.createElement("template");
      held.innerHTML = question.html;
      for (const image of held.content.querySelectorAll("image")) new Image().src = image.getAttribute("href");
    }
    if (waiting) { waiting = false; show(ahead.shift()); }
  };
  const tell = async () => {
    const reply = await fetch(`${base}/standing`);
    if (reply.ok) standing.innerHTML = await reply.text();
  };
  const behind = (work) => {
    sending = sending.then(work).catch(() => { problem.hidden = false; });
    return sending;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (current.key === null) return;
    const [a, b] = current.key.split("-");
    const given = { ...current, numbers: [] };
    const kind = event.submitter.value;
    answered.push(given);
    if (ahead.length > 0) show(ahead.shift()); else { waiting = true; back.disabled = false; }
    behind(async () => {
      try {
        given.numbers = (await post(base, { a, b, kind })).numbers;
      } catch (error) {
        answered.splice(answered.indexOf(given), 1);
        if (current.key !== null) ahead.unshift(current);
        waiting = false;
        show({ key: given.key, html: given.html });
        throw error;
      }
      await fetchAhead();
      await tell();
    });
  });
  undo.addEventListener("submit", (event) => {
    event.preventDefault();
    behind(async () => {
      const last = answered.at(-1);
      if (last === undefined) return;
      await post(`${base}/undo`, { numbers: last.numbers.join(",") });
      answered.pop();
      if (current.key !== null) ahead.unshift(current);
      waiting = false;
      show({ key: last.key, html: last.html });
      await tell();
    });
  });
  if (undo.elements.numbers.value) answered.push({ key: null, html: "", numbers: undo.elements.numbers.value.split(",") });
  back.disabled = answered.length === 0;
  behind(async () => { await fetchAhead(); await tell(); });
})();
