(() => {
  const form = document.getElementById("map");
  if (form === null) return;
  const at = (id) => document.getElementById(id);
  const { base, language } = form.dataset;
  const words = JSON.parse(form.dataset.words);
  const sheet = at("sheet");
  const pen = sheet.getContext("2d");
  const MOST_TILES = 120, MOST_LABELS = 40, MOST_CHANGES = 40, MOST_DISCS = 900, PICTURE_FROM = 34, AT_ONCE = 6;
  const BUCKETS = 24;
  const GOLDEN_ANGLE = 137.508;
  const fill = (text, ...values) => values.reduce((made, value) => made.replace("{}", value), text);
  const number = new Intl.NumberFormat(language);
  const share = (value) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: value < 0.1 ? 1 : 0 }).format(value);

  // What is drawn: columns of the points, the order in which buckets of colour are drawn, the view.
  let data = null, size = 0, order = [], bucketOf = [], palette = [];
  let view = { x: 0, y: 0, k: 1 };
  let tool = "pan", lasso = [], hovered = -1, dirty = false;
  let shownPoints = new Uint32Array(0), joined = [], cut = [], sprites = new Map(), lastNumbers = "";
  const chosen = new Set(), done = new Set(), pictures = new Map();
  const awaited = [];
  let underway = 0;

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(name).trim();
    return { ink: named("--ink"), soft: named("--soft"), card: named("--card"), wash: named("--wash"), lone: `color-mix(in srgb, ${named("--soft")} 38%, ${named("--card")})`, accent: named("--accent"), doubtful: named("--doubtful"), sure: named("--sure") };
  };
  let ink = colours();
  const isDark = () => {
    const chosenTheme = document.documentElement.dataset.theme;
    return chosenTheme ? chosenTheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const redraw = () => { if (!dirty) { dirty = true; requestAnimationFrame(draw); } };

  // Colours. Each kind gives every point a bucket, and every bucket a colour.
  const mix = (stops, share) => {
    const place = share * (stops.length - 1), first = Math.min(Math.floor(place), stops.length - 2), rest = place - first;
    const parts = [0, 1, 2].map((part) => Math.round(stops[first][part] * (1 - rest) + stops[first + 1][part] * rest));
    return `rgb(${parts.join(" ")})`;
  };
  const ramp = (light, dark) => Array.from({ length: BUCKETS }, (_, step) => mix(isDark() ? dark : light, step / (BUCKETS - 1)));
  const SURE = [[[190, 38, 30], [224, 145, 43], [120, 170, 165], [15, 110, 106]], [[255, 120, 105], [240, 180, 80], [95, 150, 150], [60, 130, 128]]];
  const PRICE = [[[120, 190, 205], [45, 130, 175], [75, 65, 150], [60, 15, 80]], [[60, 70, 120], [60, 130, 175], [120, 205, 190], [250, 235, 130]]];
  // Okabe and Ito's colours can be told apart by nearly everybody.
  const SHOPS = [["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a7a00"], ["#5aa9e6", "#f0b43c", "#3fc79a", "#e29cc4", "#ff8a4c", "#8fd0ff", "#e5d84a"]];
  const kinds = {
    cluster() {
      const tone = isDark() ? "62% 62%" : "58% 42%";
      palette = [ink.lone, ...Array.from({ length: BUCKETS }, (_, step) => `hsl(${(step * 360) / BUCKETS} ${tone})`)];
      bucketOf = data.cluster.map((one) => (one < 0 ? 0 : 1 + (Math.round((one * GOLDEN_ANGLE) % 360 / 360 * BUCKETS) % BUCKETS)));
      return [{ text: words.legend_cluster }, { colour: palette[0], text: words.no_cluster }];
    },
    confidence() {
      palette = [ink.lone, ...ramp(...SURE)];
      bucketOf = data.confidence.map((one) => (one === null ? 0 : 1 + Math.round(one * (BUCKETS - 1))));
      return [{ ramp: palette.slice(1), low: "0 %", high: "100 %" }, { colour: palette[0], text: words.no_cluster }];
    },
    shop() {
      const tones = SHOPS[isDark() ? 1 : 0];
      palette = [ink.lone, ...tones, isDark() ? "#8b95a1" : "#7d8794"];
      bucketOf = data.shop.map((one) => (one < 0 ? 0 : 1 + Math.min(one, tones.length)));
      const shown = data.shops.slice(0, tones.length).map((text, place) => ({ colour: tones[place], text }));
      if (data.shops.length > tones.length) shown.push({ colour: palette.at(-1), text: fill(words.other_shops, number.format(data.shops.length - tones.length)) });
      return data.shops.length ? shown : [{ text: words.no_shops }];
    },
    price() {
      palette = [ink.lone, ...ramp(...PRICE)];
      const known = data.price.filter((one) => one > 0).sort((a, b) => a - b);
      if (known.length === 0) { bucketOf = data.price.map(() => 0); return [{ text: words.no_prices }]; }
      // The dearest and the cheapest two in a hundred would take all the colours.
      const low = Math.log(known[Math.floor(known.length * 0.02)]), high = Math.log(known[Math.ceil(known.length * 0.98) - 1]);
      const step = (one) => 1 + Math.round(Math.min(1, Math.max(0, (Math.log(one) - low) / Math.max(high - low, 1e-9))) * (BUCKETS - 1));
      bucketOf = data.price.map((one) => (one > 0 ? step(one) : 0));
      return [{ ramp: palette.slice(1), low: money(Math.exp(low)), high: money(Math.exp(high)) }, { colour: palette[0], text: words.no_price }];
    },
  };
  const money = (value) => {
    const rounded = Number(value.toPrecision(2));
    if (!data.currency) return number.format(rounded);
    try {
      return new Intl.NumberFormat(language, { style: "currency", currency: data.currency, maximumFractionDigits: rounded < 100 ? 2 : 0 }).format(rounded);
    } catch { return `${number.format(rounded)} ${data.currency}`; }
  };
  const paint = () => {
    ink = colours();
    const told = kinds[at("colour").value]();
    order = Uint32Array.from({ length: size }, (_, point) => point).sort((a, b) => bucketOf[a] - bucketOf[b] || a - b);
    sprites = new Map();
    at("legend").replaceChildren(...told.map(legendEntry));
    redraw();
  };
  const legendEntry = (entry) => {
    const made = document.createElement("span");
    if (entry.ramp) {
      const bar = document.createElement("span");
      bar.className = "ramp";
      bar.style.background = `linear-gradient(to right, ${entry.ramp.join(", ")})`;
      made.append(entry.low, bar, entry.high);
      return made;
    }
    if (entry.colour) {
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = entry.colour;
      made.append(dot);
    }
    made.append(entry.text);
    return made;
  };

  // Drawing.
  const ratio = () => Math.min(devicePixelRatio || 1, 2);
  const sprite = (colour, radius) => {
    const key = `${colour} ${radius}`;
    if (!sprites.has(key)) {
      const made = document.createElement("canvas"), side = Math.ceil((radius + 1) * 2 * ratio());
      made.width = made.height = side;
      const inside = made.getContext("2d");
      inside.fillStyle = colour;
      inside.beginPath();
      inside.arc(side / 2, side / 2, radius * ratio(), 0, 7);
      inside.fill();
      sprites.set(key, made);
    }
    return sprites.get(key);
  };
  const across = (point) => data.x[point] * view.k + view.x;
  const down = (point) => data.y[point] * view.k + view.y;
  // The points in view, in the order in which they are drawn, until it is asked again.
  const visible = (margin) => {
    const { clientWidth: width, clientHeight: height } = sheet;
    const left = (-margin - view.x) / view.k, right = (width + margin - view.x) / view.k;
    const top = (-margin - view.y) / view.k, bottom = (height + margin - view.y) / view.k;
    let count = 0;
    for (let place = 0; place < size; place += 1) {
      const point = order[place], x = data.x[point], y = data.y[point];
      if (x > left && x < right && y > top && y < bottom) { shownPoints[count] = point; count += 1; }
    }
    return shownPoints.subarray(0, count);
  };
  const drawClusters = () => {
    const { clientWidth: width, clientHeight: height } = sheet, { k, x: left, y: top } = view;
    const shown = data.discs.filter(({ x, y, wide, tall }) => (x + wide) * k + left > 0 && (x - wide) * k + left < width && (y + tall) * k + top > 0 && (y - tall) * k + top < height);
    // Of too many they are too small to be seen, and take most of the time.
    if (shown.length > MOST_DISCS) return;
    pen.fillStyle = ink.wash;
    for (const { x, y, wide, tall } of shown) {
      pen.beginPath();
      pen.ellipse(x * k + left, y * k + top, wide * k, tall * k, 0, 0, 7);
      pen.fill();
    }
  };
  const drawDots = (shown, radius) => {
    const { k, x: left, y: top } = view, pixels = ratio();
    const small = radius < 2.2, side = Math.round(radius * 1.8 * pixels) / pixels;
    let bucket = -1, made = null, half = 0;
    for (const point of shown) {
      if (bucketOf[point] !== bucket) {
        bucket = bucketOf[point];
        pen.fillStyle = palette[bucket];
        // The first bucket holds those of which nothing is known.
        made = small ? null : sprite(palette[bucket], Math.round(radius * (bucket ? 2 : 1.5)) / 2);
        half = small ? side / 2 : made.width / ratio() / 2;
      }
      const x = data.x[point] * k + left, y = data.y[point] * k + top;
      // Whole pixels are filled without blending.
      if (small) pen.fillRect(Math.round((x - half) * pixels) / pixels, Math.round((y - half) * pixels) / pixels, side, side);
      else pen.drawImage(made, x - half, y - half, 2 * half, 2 * half);
    }
  };
  const drawPictures = (shown) => {
    const most = view.k * 0.86, middle = [sheet.clientWidth / 2, sheet.clientHeight / 2];
    const missing = [];
    for (const point of shown) {
      const image = pictures.get(point);
      if (image === undefined) missing.push(point);
      if (!image?.complete || !image.naturalWidth) continue;
      const scale = most / Math.max(image.naturalWidth, image.naturalHeight);
      const wide = image.naturalWidth * scale, tall = image.naturalHeight * scale;
      const x = across(point) - wide / 2, y = down(point) - tall / 2;
      pen.drawImage(image, x, y, wide, tall);
      pen.strokeStyle = palette[bucketOf[point]];
      pen.lineWidth = 2;
      pen.strokeRect(x, y, wide, tall);
    }
    const away = (point) => (across(point) - middle[0]) ** 2 + (down(point) - middle[1]) ** 2;
    awaited.splice(0, awaited.length, ...missing.sort((a, b) => away(a) - away(b)));
    fetchPictures();
  };
  const fetchPictures = () => {
    while (underway < AT_ONCE && awaited.length) {
      const point = awaited.shift();
      if (pictures.has(point)) continue;
      const image = new Image();
      pictures.set(point, image);
      underway += 1;
      image.onload = image.onerror = () => { underway -= 1; redraw(); fetchPictures(); };
      image.src = `${base}/pictures/${data.listing[point]}.jpg`;
      // What was not drawn for longest gives way.
      if (pictures.size > 3000) pictures.delete(pictures.keys().next().value);
    }
  };
  // What lies over the map, in its pixels.
  const overlays = () => {
    const own = sheet.getBoundingClientRect();
    return [...document.querySelectorAll(".sheet-tools, .legend")].map((one) => {
      const { left, right, top, bottom } = one.getBoundingClientRect();
      return { left: left - own.left, right: right - own.left, top: top - own.top, bottom: bottom - own.top };
    });
  };
  const drawLabels = (shown) => {
    const boxes = new Map();
    for (const point of shown) {
      const cluster = data.cluster[point];
      if (cluster < 0) continue;
      const box = boxes.get(cluster) ?? { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity, count: 0, cluster };
      const x = across(point), y = down(point);
      box.left = Math.min(box.left, x); box.right = Math.max(box.right, x); box.top = Math.min(box.top, y); box.bottom = Math.max(box.bottom, y); box.count += 1;
      boxes.set(cluster, box);
    }
    const { clientWidth: width, clientHeight: height } = sheet, covered = overlays(), placed = [];
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = ink.card;
    pen.fillStyle = ink.ink;
    const largest = [...boxes.values()].filter((box) => box.count > 1 && box.right - box.left > 36).sort((a, b) => b.count - a.count);
    for (const box of largest) {
      if (placed.length === MOST_LABELS) break;
      let text = data.clusters[box.cluster][0];
      if (!text) continue;
      const most = Math.max(120, (box.right - box.left) * 1.25);
      while (text.length > 4 && pen.measureText(text).width > most) text = `${text.slice(0, -3).trimEnd()}…`;
      const wide = pen.measureText(text).width / 2 + 4, x = Math.min(Math.max((box.left + box.right) / 2, wide), width - wide);
      const isFree = (y) => y > 12 && y < height - 4
        && !placed.some((other) => Math.abs(other.x - x) < other.wide + wide && Math.abs(other.y - y) < 15)
        && !covered.some(({ left, right, top, bottom }) => x + wide > left && x - wide < right && y + 4 > top && y - 12 < bottom);
      // Below its cluster, else above it.
      const y = [box.bottom + view.k * 0.5 + 9, box.top - view.k * 0.5 - 4].find(isFree);
      if (y === undefined) continue;
      placed.push({ x, y, wide });
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    }
  };
  const drawTies = () => {
    for (const [ties, colour, dash] of [[joined, ink.accent, []], [cut, ink.doubtful, [5, 4]]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = 2;
      pen.setLineDash(dash);
      pen.beginPath();
      for (const [, first, second] of ties) { pen.moveTo(across(first), down(first)); pen.lineTo(across(second), down(second)); }
      pen.stroke();
    }
    pen.setLineDash([]);
  };
  const draw = () => {
    dirty = false;
    if (data === null) return;
    const { clientWidth: width, clientHeight: height } = sheet, pixels = ratio();
    if (sheet.width !== Math.round(width * pixels) || sheet.height !== Math.round(height * pixels)) { sheet.width = Math.round(width * pixels); sheet.height = Math.round(height * pixels); }
    pen.setTransform(pixels, 0, 0, pixels, 0, 0);
    pen.clearRect(0, 0, width, height);
    const radius = Math.max(1.1, Math.min(9, view.k * 0.36)), shown = visible(view.k);
    const sharp = view.k >= PICTURE_FROM;
    drawClusters();
    drawDots(shown, radius);
    if (sharp) drawPictures(shown);
    if (joined.length || cut.length) drawTies();
    if (done.size || chosen.size) drawMarks(shown, sharp ? view.k * 0.46 : radius + 1.5, sharp);
    if (view.k > 7) drawLabels(shown);
    if (lasso.length > 1) {
      pen.beginPath();
      lasso.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.globalAlpha = 0.12; pen.fillStyle = ink.accent; pen.fill(); pen.globalAlpha = 1;
      pen.strokeStyle = ink.accent; pen.lineWidth = 2; pen.stroke();
    }
  };
  const drawMarks = (shown, radius, square) => {
    for (const [held, colour] of [[done, ink.sure], [chosen, ink.ink]]) {
      if (held.size === 0) continue;
      pen.strokeStyle = colour;
      pen.lineWidth = square ? 3 : 2;
      pen.beginPath();
      for (const point of shown) {
        if (!held.has(point)) continue;
        if (square) { pen.roundRect(across(point) - radius, down(point) - radius, 2 * radius, 2 * radius, 6); continue; }
        pen.moveTo(across(point) + radius, down(point));
        pen.arc(across(point), down(point), radius, 0, 7);
      }
      pen.stroke();
    }
  };

  // The view.
  const fit = (points) => {
    const { clientWidth: width, clientHeight: height } = sheet;
    let box = [0, 0, data.width, data.height];
    if (points) {
      const xs = points.map((point) => data.x[point]), ys = points.map((point) => data.y[point]);
      box = [Math.min(...xs) - 2, Math.min(...ys) - 2, Math.max(...xs) + 2, Math.max(...ys) + 2];
    }
    // Below is the legend.
    const margin = points ? 30 : 12, legend = 34;
    const k = Math.min((width - 2 * margin) / (box[2] - box[0]), (height - 2 * margin - legend) / (box[3] - box[1]), 90);
    view = { k, x: width / 2 - (k * (box[0] + box[2])) / 2, y: (height - legend) / 2 - (k * (box[1] + box[3])) / 2 };
    redraw();
  };
  const zoom = (factor, x = sheet.clientWidth / 2, y = sheet.clientHeight / 2) => {
    const least = Math.min(sheet.clientWidth / data.width, sheet.clientHeight / data.height) * 0.6;
    const k = Math.min(260, Math.max(least, view.k * factor));
    view = { k, x: x - ((x - view.x) * k) / view.k, y: y - ((y - view.y) * k) / view.k };
    redraw();
  };
  const move = (x, y) => { view = { ...view, x: view.x + x, y: view.y + y }; redraw(); };
  const nearest = (x, y) => {
    let best = -1, least = Math.max(8, view.k * 0.5) ** 2;
    for (let point = 0; point < size; point += 1) {
      const away = (across(point) - x) ** 2 + (down(point) - y) ** 2;
      if (away < least) { least = away; best = point; }
    }
    return best;
  };
  const within = (polygon) => {
    const found = [];
    for (let point = 0; point < size; point += 1) {
      const x = across(point), y = down(point);
      let inside = false;
      for (let one = 0, other = polygon.length - 1; one < polygon.length; other = one, one += 1) {
        const [ax, ay] = polygon[one], [bx, by] = polygon[other];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      }
      if (inside) found.push(point);
    }
    return found;
  };

  // Choosing.
  const choose = (points, more) => {
    if (!more) chosen.clear();
    for (const point of points) chosen.add(point);
    showChosen();
  };
  const name = (cluster) => data.clusters[cluster]?.[0] || `${words.cluster} ${cluster}`;
  const placeOf = (point) => (data.cluster[point] < 0 ? words.no_cluster : name(data.cluster[point]));
  const showChosen = () => {
    at("map-problem").hidden = true;
    at("none-chosen").hidden = chosen.size > 0;
    at("some-chosen").hidden = chosen.size === 0;
    const points = showCount();
    at("grid").replaceChildren(...points.slice(0, MOST_TILES).map(tile));
    at("more").textContent = points.length > MOST_TILES ? fill(words.more, number.format(points.length - MOST_TILES)) : "";
  };
  const showCount = () => {
    const points = [...chosen].sort((a, b) => data.cluster[a] - data.cluster[b] || (data.confidence[a] ?? 0) - (data.confidence[b] ?? 0) || a - b);
    at("count").textContent = fill(words.count, number.format(points.length));
    const clusters = [...new Set(points.map((point) => data.cluster[point]))].filter((one) => one >= 0);
    at("spread").replaceChildren(...spreadOf(clusters, points));
    for (const one of form.querySelectorAll('[data-act="name"], #called')) one.disabled = clusters.length !== 1;
    at("called").value = clusters.length === 1 ? data.clusters[clusters[0]][0] : "";
    form.querySelector('[data-act="same"]').disabled = points.length < 2;
    redraw();
    return points;
  };
  const spreadOf = (clusters, points) => {
    const shown = clusters.slice(0, 6).flatMap((one, place) => {
      const link = document.createElement("a");
      link.href = `${base}/review/${one}`;
      link.textContent = name(one);
      return place ? [" · ", link] : [link];
    });
    const lone = points.filter((point) => data.cluster[point] < 0).length;
    if (clusters.length > 6) shown.push(` · +${number.format(clusters.length - 6)}`);
    if (lone) shown.push(`${shown.length ? " · " : ""}${words.no_cluster}: ${number.format(lone)}`);
    return shown;
  };
  const tile = (point) => {
    const made = at("tile").content.cloneNode(true);
    made.querySelector("img").src = `${base}/pictures/${data.listing[point]}.jpg`;
    made.querySelector(".words").textContent = data.title[point];
    const sure = data.confidence[point];
    made.querySelector(".where").textContent = [placeOf(point), sure === null ? "" : share(sure), data.copies[point] > 1 ? `×${data.copies[point]}` : ""].filter(Boolean).join(" · ");
    made.querySelector("input").addEventListener("change", (event) => {
      if (event.target.checked) chosen.add(point); else chosen.delete(point);
      showCount();
    });
    return made;
  };

  // What a stricter or looser judgement would change.
  const sets = () => {
    const parent = Int32Array.from({ length: size }, (_, point) => point);
    const find = (point) => { while (parent[point] !== point) { parent[point] = parent[parent[point]]; point = parent[point]; } return point; };
    return { find, join: (a, b) => { parent[find(b)] = find(a); } };
  };
  const stricter = (least) => {
    const held = sets();
    cut = data.within.filter(([chance, a, b]) => { if (chance !== null && chance < least) return true; held.join(a, b); return false; });
    const parted = new Map();
    for (const tie of cut) {
      const cluster = data.cluster[tie[1]];
      if (!parted.has(cluster)) parted.set(cluster, []);
      parted.get(cluster).push(tie);
    }
    return [...parted].map(([cluster, ties]) => {
      const weakest = ties.reduce((one, other) => (other[0] < one[0] ? other : one));
      const members = data.members.get(cluster), parts = new Map();
      for (const point of members) parts.set(held.find(point), [...(parts.get(held.find(point)) ?? []), point]);
      const sides = [weakest[1], weakest[2]].map((end) => parts.get(held.find(end))).sort((a, b) => a.length - b.length);
      return { chance: weakest[0], text: fill(words.parts, name(cluster), number.format(parts.size)), points: sides[0], seen: members };
    }).sort((a, b) => a.chance - b.chance);
  };
  const looser = (least) => {
    joined = data.between.filter(([chance]) => chance >= least);
    return joined.map(([chance, a, b]) => {
      const points = [a, b].flatMap((end) => (data.cluster[end] < 0 ? [end] : data.members.get(data.cluster[end])));
      return { chance, text: fill(words.joins, placeName(a), placeName(b)), points, seen: points };
    });
  };
  const placeName = (point) => (data.cluster[point] < 0 ? data.title[point] : name(data.cluster[point]));
  const countOfClusters = () => {
    const held = sets();
    for (const [, a, b] of joined) held.join(a, b);
    for (const members of data.members.values()) for (const point of members) held.join(members[0], point);
    const roots = new Set();
    for (const [, a, b] of joined) roots.add(held.find(a));
    return roots.size;
  };
  const judge = () => {
    const asked = Number(at("strictness").value), least = asked < 0 ? -asked / 100 : 1 - asked / 100;
    joined = []; cut = [];
    const found = asked < 0 ? stricter(least) : asked > 0 ? looser(least) : [];
    at("effect").textContent = asked < 0 ? fill(words.would_part, share(least), number.format(found.length), number.format(found.length + cut.length))
      : asked > 0 ? fill(words.would_join, share(least), number.format(found.length), number.format(countOfClusters())) : words.as_it_is;
    at("chosen-title").textContent = asked ? words.would_change : words.chosen;
    at("how").hidden = asked !== 0;
    at("changes").replaceChildren(...found.slice(0, MOST_CHANGES).map((change) => {
      const line = document.createElement("li"), button = document.createElement("button"), chance = document.createElement("span");
      button.type = "button";
      button.className = "plain-button";
      chance.className = "numbers soft";
      chance.textContent = share(change.chance);
      button.append(chance, change.text);
      button.addEventListener("click", () => { choose(change.points); fit(change.seen); });
      line.append(button);
      return line;
    }));
    redraw();
  };

  // What is done to the chosen.
  const post = async (path, values) => {
    const reply = await fetch(`${base}/${path}`, { method: "POST", headers: { accept: "application/json" }, body: new URLSearchParams({ secret: form.elements.secret.value, ...values }) });
    const answer = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(answer.error ?? answer.detail ?? words.not_recorded);
    return answer;
  };
  const tell = (error) => { at("map-problem").textContent = error instanceof TypeError ? words.not_recorded : error.message; at("map-problem").hidden = false; at("map-done").hidden = true; };
  let acted = [];
  const act = async (button) => {
    const text = button.dataset.text ? at(button.dataset.text).value : "";
    const points = [...chosen];
    try {
      const answer = await post("map", { act: button.dataset.act, listings: points.map((point) => data.listing[point]).join(","), text });
      lastNumbers = answer.numbers.join(",");
      acted = points;
      for (const point of points) done.add(point);
      at("target").value = "";
      choose([]);
      at("map-done").hidden = false;
      sheet.focus({ preventScroll: true });
    } catch (error) { tell(error); }
  };
  for (const button of form.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button));
  for (const field of [at("target"), at("called")]) {
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); form.querySelector(`[data-text="${field.id}"]`).click(); }
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  at("map-undo").addEventListener("click", async () => {
    try {
      await post("queue/undo", { numbers: lastNumbers });
      for (const point of acted) done.delete(point);
      at("map-done").hidden = true;
      choose(acted);
    } catch (error) { tell(error); }
  });

  // Hands: mouse, fingers and keys.
  const pointers = new Map();
  let start = null, turned = false;
  const place = (event) => { const box = sheet.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  sheet.addEventListener("pointerdown", (event) => {
    if (data === null || event.button !== 0) return;
    sheet.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    start = place(event);
    turned = false;
    lasso = pointers.size === 1 && (tool === "lasso" || event.shiftKey) ? [start] : [];
    at("tip").hidden = true;
  });
  sheet.addEventListener("pointermove", (event) => {
    if (data === null) return;
    const [x, y] = place(event), before = pointers.get(event.pointerId);
    if (before === undefined) { hover(x, y); return; }
    if (start && Math.hypot(x - start[0], y - start[1]) > 4) turned = true;
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, [x, y]);
    if (other) {
      const factor = Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
      lasso = [];
      zoom(factor, (x + other[0]) / 2, (y + other[1]) / 2);
    } else if (lasso.length) { lasso.push([x, y]); redraw(); } else move(x - before[0], y - before[1]);
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId) || pointers.size) return;
    const polygon = lasso, more = event.ctrlKey || event.metaKey;
    lasso = [];
    if (event.type === "pointercancel") { redraw(); return; }
    if (turned && polygon.length > 2) { choose(within(polygon), more); return; }
    if (turned) return;
    const point = nearest(...place(event));
    if (point >= 0) choose(data.cluster[point] < 0 ? [point] : data.members.get(data.cluster[point]), more);
    else if (!more) choose([]);
  };
  sheet.addEventListener("pointerup", release);
  sheet.addEventListener("pointercancel", release);
  sheet.addEventListener("pointerleave", () => { at("tip").hidden = true; });
  sheet.addEventListener("wheel", (event) => {
    if (data === null) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...place(event));
  }, { passive: false });
  const hover = (x, y) => {
    const point = nearest(x, y), tip = at("tip");
    sheet.classList.toggle("over", point >= 0);
    tip.hidden = point < 0;
    if (point < 0) { hovered = -1; return; }
    if (point !== hovered) {
      hovered = point;
      const price = data.price[point];
      const sure = data.confidence[point];
      tip.textContent = [data.title[point], data.cluster[point] < 0 ? words.no_cluster : `${words.cluster} ${data.cluster[point]}${sure === null ? "" : ` · ${share(sure)}`}`, data.shops[data.shop[point]], price === null ? "" : money(price)].filter(Boolean).join("\n");
    }
    const room = sheet.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(room, x + 14))}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > sheet.clientHeight ? y - tip.offsetHeight - 12 : y + 18}px`;
  };
  sheet.addEventListener("keydown", (event) => {
    if (data === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60;
    const keys = {
      ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0), ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
      "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => fit(), Enter: () => choose([...visible(0)]),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen.size && !event.target.closest("input, select")) choose([]); });
  for (const button of form.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => {
      tool = button.dataset.tool;
      for (const other of form.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", String(other === button));
      sheet.classList.toggle("lasso", tool === "lasso");
    });
  }
  for (const button of form.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
  at("fit").addEventListener("click", () => fit());
  at("clear").addEventListener("click", () => choose([]));
  at("colour").addEventListener("change", paint);
  at("strictness").addEventListener("input", judge);

  const begin = async () => {
    const reply = await fetch(`${base}/map/points`);
    if (!reply.ok) throw new Error(words.not_loaded);
    data = await reply.json();
    size = data.x.length;
    data.x = Float32Array.from(data.x);
    data.y = Float32Array.from(data.y);
    shownPoints = new Uint32Array(size);
    data.members = new Map();
    data.cluster.forEach((cluster, point) => {
      if (cluster < 0) return;
      if (!data.members.has(cluster)) data.members.set(cluster, []);
      data.members.get(cluster).push(point);
    });
    data.discs = [...data.members.values()].filter((points) => points.length > 1).map((points) => {
      const xs = points.map((point) => data.x[point]), ys = points.map((point) => data.y[point]);
      const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      return { x: (left + right) / 2, y: (top + bottom) / 2, wide: (right - left) / 2 + 0.6, tall: (bottom - top) / 2 + 0.6 };
    });
    at("loading").hidden = size > 0;
    if (size === 0) { at("loading").textContent = words.nothing; return; }
    if (data.left_out) { at("loading").hidden = false; at("loading").textContent = fill(words.left_out, number.format(size), number.format(data.left_out)); }
    paint();
    fit();
    judge();
    new ResizeObserver(redraw).observe(sheet);
    new MutationObserver(paint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  };
  begin().catch(() => { at("loading").textContent = words.not_loaded; });
})();
