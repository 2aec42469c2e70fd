// The page: sends images to /score and shows what comes back. Everything that comes from the server or from a file name is put
// in as text, never as markup.

const SHOWN = 5; // labels shown before "more"
const AT_ONCE = 2; // requests under way at a time

const byId = (id) => document.getElementById(id);
const [drop, files, results, clear, select] = ["drop", "files", "results", "clear", "model"].map(byId);
const models = new Map(); // name -> metadata
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
  const kind = about.task === "image-classification-multilabel" ? "any number per image" : "one per image";
  byId("facts").textContent = `${about.architecture} · ${many}, ${kind}`;
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
      card.remove();
      clear.hidden = results.children.length === 0;
    });
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
  const query = model ? `?model=${encodeURIComponent(model)}` : "";
  const started = performance.now();
  try {
    const response = await fetch(`/score${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
      signal,
    });
    const answer = await response.json();
    const total = performance.now() - started;
    // The card says which image it is.
    if (!response.ok) throw new Error(answer.error?.replace(/^image 0: /, "") ?? `status ${response.status}`);
    show(card, answer, total, response.headers.get("server-timing"));
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

function show(card, answer, total, stages) {
  const ranked = answer.labels
    .map((name, i) => ({ name, value: answer.probs[i] }))
    .sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
  const list = card.querySelector(".labels");
  const append = (items) => {
    for (const { name, value } of items) {
      const row = byId("label").content.firstElementChild.cloneNode(true);
      row.classList.toggle("best", name === ranked[0].name);
      row.querySelector(".name").textContent = name;
      row.querySelector(".value").textContent = percent(value);
      const bar = row.querySelector("progress");
      bar.setAttribute("aria-label", name);
      list.append(row);
      requestAnimationFrame(() => { bar.value = value; });
    }
  };
  append(ranked.slice(0, SHOWN));
  const rest = ranked.slice(SHOWN);
  const more = card.querySelector(".more");
  if (rest.length > 0) {
    more.textContent = `${rest.length} more`;
    more.hidden = false;
    more.addEventListener("click", () => {
      append(rest);
      more.hidden = true;
    });
  }
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
