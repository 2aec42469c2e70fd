// The page: sends images to /score and shows what comes back. Everything that comes from the server or from a file name is put
// in as text, never as markup.

const SHOWN = 5; // labels shown before "more"
const AT_ONCE = 2; // requests under way at a time
const LOWEST = 0.05; // where the threshold ends: boxes with a lower score are not asked for

const byId = (id) => document.getElementById(id);
const [drop, files, results, clear, select, threshold] = ["drop", "files", "results", "clear", "model", "threshold"].map(byId);
const models = new Map(); // name -> metadata
const drawings = new Map(); // card -> what was found in its image, and how to draw it
const sets = new Map(); // card -> every label of its image with its probability, for models that may give several
const waiting = [];
let running = 0;

async function getJson(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function start() {
  try {
    const [server, index] = await Promise.all([getJson("/v2"), getJson("/v2/repository/index", { method: "POST" })]);
    byId("version").textContent = `Fovea ${server.version}`;
    for (const { name } of index) {
      models.set(name, await getJson(`/v2/models/${encodeURIComponent(name)}`));
      select.add(new Option(name, name));
    }
    describe();
    setState("ready", "ready");
  } catch {
    setState("down", "server not reachable");
  }
  setInterval(async () => {
    try {
      const ready = (await fetch("/v2/health/ready")).ok;
      setState(ready ? "ready" : "down", ready ? "ready" : "not ready");
    } catch {
      setState("down", "server not reachable");
    }
  }, 10000);
}

function setState(kind, text) {
  byId("state").className = `state ${kind}`;
  byId("state-text").textContent = text;
}

function describe() {
  const about = models.get(select.value)?.parameters;
  if (!about) return;
  const many = about.labels.length === 1 ? "1 label" : `${about.labels.length} labels`;
  const kinds = { "image-classification": ", one per image", "image-classification-multilabel": ", any number per image" };
  byId("facts").textContent = `${about.architecture} · ${many}${kinds[about.task] ?? ""}`;
  byId("threshold-part").hidden = !detects(select.value) && !manyLabels(select.value);
  if (detects(select.value)) offer("Show objects above", about.score_threshold ?? 0.3);
  if (manyLabels(select.value)) offer("Labels above", about.label_threshold ?? 0.5);
}

function offer(text, value) {
  byId("threshold-label").textContent = text;
  threshold.value = value;
  filter();
}

function detects(model) {
  return ["image-object-detection", "image-instance-segmentation"].includes(models.get(model)?.parameters.task);
}

function manyLabels(model) {
  return models.get(model)?.parameters.task === "image-classification-multilabel";
}

function add(list) {
  for (const file of list) {
    const card = byId("card").content.firstElementChild.cloneNode(true);
    const url = URL.createObjectURL(file);
    const image = card.querySelector("img");
    image.alt = `Preview of ${file.name || "the pasted image"}`;
    image.addEventListener("error", () => {
      image.hidden = true;
      card.querySelector(".nopreview").hidden = false;
    });
    image.src = url;
    const title = card.querySelector("h2");
    title.textContent = file.name || "pasted image";
    title.title = title.textContent;
    const cancel = new AbortController();
    card.querySelector(".remove").addEventListener("click", () => {
      cancel.abort();
      URL.revokeObjectURL(url);
      drawings.get(card)?.observer.disconnect();
      drawings.delete(card);
      sets.delete(card);
      card.remove();
      clear.hidden = results.children.length === 0;
    });
    card.classList.toggle("detects", detects(select.value));
    results.prepend(card);
    clear.hidden = false;
    waiting.push({ card, file, signal: cancel.signal, model: select.value });
  }
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    const job = waiting.shift();
    if (job.signal.aborted) continue;
    running += 1;
    score(job).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function score({ card, file, signal, model }) {
  const query = new URLSearchParams(model ? { model } : {});
  if (detects(model)) query.set("score_threshold", LOWEST);
  const started = performance.now();
  try {
    const response = await fetch(`/score?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
      signal,
    });
    const answer = await response.json();
    const total = performance.now() - started;
    // The card says which image it is.
    if (!response.ok) throw new Error(answer.error?.replace(/^image 0: /, "") ?? `status ${response.status}`);
    if (answer.boxes) showObjects(card, answer.boxes, models.get(model).parameters.labels);
    else showLabels(card, answer, manyLabels(model));
    showTiming(card, total, response.headers.get("server-timing"));
  } catch (error) {
    if (signal.aborted) return;
    const text = error instanceof TypeError ? "The server cannot be reached." : error.message;
    const place = card.querySelector(".error");
    place.textContent = text;
    place.hidden = false;
  } finally {
    card.querySelector(".wait").hidden = true;
  }
}

function percent(value) {
  if (value > 0 && value < 0.001) return "< 0.1 %";
  if (value < 1 && value > 0.999) return "> 99.9 %";
  return `${(value * 100).toFixed(1)} %`;
}

function showLabels(card, answer, many) {
  const ranked = answer.labels
    .map((name, i) => ({ name, value: answer.probs[i] }))
    .sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
  const list = card.querySelector(".labels");
  const append = (items) => {
    for (const { name, value } of items) {
      const row = byId("label").content.firstElementChild.cloneNode(true);
      row.classList.toggle("best", !many && name === ranked[0].name);
      if (many) sets.get(card).push({ value, row });
      row.querySelector(".name").textContent = name;
      row.querySelector(".value").textContent = percent(value);
      const bar = row.querySelector("progress");
      bar.setAttribute("aria-label", name);
      list.append(row);
      requestAnimationFrame(() => { bar.value = value; });
    }
  };
  const likely = many ? ranked.filter(({ value }) => value >= LOWEST).length : 0;
  const first = Math.max(SHOWN, likely);
  if (many) sets.set(card, []);
  append(ranked.slice(0, first));
  if (many) filter();
  const rest = ranked.slice(first);
  const more = card.querySelector(".more");
  if (rest.length > 0) {
    more.textContent = `${rest.length} more`;
    more.hidden = false;
    more.addEventListener("click", () => {
      append(rest);
      more.hidden = true;
    });
  }
}

// A colour for each class, far apart on the wheel for neighbours in the list.
function colour(label, labels) {
  return `hsl(${(Math.max(labels.indexOf(label), 0) * 137.508 + 250) % 360} 75% 50%)`;
}

function showObjects(card, boxes, labels) {
  const canvas = card.querySelector("canvas");
  const image = card.querySelector("img");
  const objects = boxes.map((box) => ({ ...box, colour: colour(box.label, labels) }));
  const drawing = { objects, marked: null, draw: () => draw(canvas, image, drawing) };
  drawing.observer = new ResizeObserver(drawing.draw);
  drawing.observer.observe(canvas.parentElement);
  image.addEventListener("load", drawing.draw);
  canvas.hidden = false;
  const list = card.querySelector(".objects");
  for (const object of objects) {
    const row = byId("object").content.firstElementChild.cloneNode(true);
    row.querySelector("i").style.backgroundColor = object.colour;
    row.querySelector(".name").textContent = object.label;
    row.querySelector(".value").textContent = percent(object.score);
    const mark = (marked) => () => {
      drawing.marked = marked;
      drawing.draw();
    };
    const button = row.querySelector("button");
    for (const event of ["pointerenter", "focus", "click"]) button.addEventListener(event, mark(object));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, mark(null));
    object.row = row;
    list.append(row);
  }
  drawings.set(card, drawing);
  filter();
}

function countOf(card, number, one) {
  const count = card.querySelector(".count");
  count.textContent = number === 0 ? `No ${one}s` : number === 1 ? `1 ${one}` : `${number} ${one}s`;
  count.hidden = false;
}

// Shows what is above the threshold: in the lists, and on the images.
function filter() {
  const least = Number(threshold.value);
  byId("threshold-value").textContent = `${Math.round(least * 100)} %`;
  for (const [card, drawing] of drawings) {
    let shown = 0;
    for (const object of drawing.objects) {
      object.shown = object.score >= least;
      object.row.hidden = !object.shown;
      shown += object.shown ? 1 : 0;
    }
    countOf(card, shown, "object");
    drawing.draw();
  }
  for (const [card, labels] of sets) {
    for (const { value, row } of labels) row.classList.toggle("best", value >= least);
    countOf(card, labels.filter(({ value }) => value >= least).length, "label");
  }
}

function draw(canvas, image, drawing) {
  const { width, height } = canvas.getBoundingClientRect();
  if (!image.naturalWidth || !width) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  // Where the image lies: as large as fits, in the middle.
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale];
  const [left, top] = [(width - w) / 2, (height - h) / 2];
  pen.font = "600 12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  // The best ones last, on top.
  const shown = drawing.objects.filter((object) => object.shown).reverse();
  for (const object of shown) {
    const { topX, topY, bottomX, bottomY } = object.box;
    const [x, y] = [left + topX * w, top + topY * h];
    const marked = object === drawing.marked;
    pen.globalAlpha = drawing.marked && !marked ? 0.3 : 1;
    pen.strokeStyle = pen.fillStyle = object.colour;
    pen.lineWidth = marked ? 4 : 2;
    if (object.polygon) {
      const path = outlined(object.polygon, left, top, w, h);
      pen.stroke(path);
      pen.globalAlpha *= 0.35;
      pen.fill(path, "evenodd");
      pen.globalAlpha /= 0.35;
      pen.lineWidth = marked ? 2 : 1;
    }
    pen.strokeRect(x, y, (bottomX - topX) * w, (bottomY - topY) * h);
    const text = `${object.label} ${percent(object.score)}`;
    const wide = pen.measureText(text).width + 8;
    // Within the image where it fits, and never beyond what is drawn on.
    const inside = Math.max(Math.min(x, left + w - wide), left);
    const at = [Math.max(Math.min(inside, width - wide), 0), y - 18 < top ? y : y - 18];
    pen.fillRect(at[0], at[1], wide, 18);
    pen.fillStyle = "#fff";
    pen.fillText(text, at[0] + 4, at[1] + 9.5);
  }
}

// The rings of an object, which come as fractions of the image; a ring within another is a hole.
function outlined(polygon, left, top, w, h) {
  const path = new Path2D();
  for (const ring of polygon) {
    for (let at = 0; at + 1 < ring.length; at += 2) {
      path[at ? "lineTo" : "moveTo"](left + ring[at] * w, top + ring[at + 1] * h);
    }
    path.closePath();
  }
  return path;
}

function showTiming(card, total, stages) {
  const parts = [`${total.toFixed(0)} ms in all`];
  for (const [, name, time] of (stages ?? "").matchAll(/(\w+);dur=([\d.]+)/g)) {
    if (name !== "render") parts.push(`${name} ${Number(time).toFixed(1)} ms`);
  }
  const timing = card.querySelector(".timing");
  timing.textContent = parts.join(" · ");
  timing.hidden = false;
}

files.addEventListener("change", () => {
  add(files.files);
  files.value = "";
});
select.addEventListener("change", describe);
threshold.addEventListener("input", filter);
clear.addEventListener("click", () => {
  for (const button of results.querySelectorAll(".remove")) button.click();
});
// The whole window takes a drop: letting go a little beside the box must not make the browser leave the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
addEventListener("paste", (event) => add(event.clipboardData.files));

start();
