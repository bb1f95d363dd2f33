"use strict";
(() => {
  const main = document.getElementById("main");
  const list = document.getElementById("jobs");
  if (!list) return;
  const by = (id) => document.getElementById(id);
  const boxes = [...document.querySelectorAll('input[name="label"]')];
  const tile = (label) => boxes.find((box) => box.value === label).closest("label");
  const words = (label) => tile(label).lastElementChild.textContent;
  const limitOf = Number(main.dataset.max);
  const step = 200; // cards laid out at once
  const cards = new Map(); // id of a job, or of an upload, to its card
  let limit = step;
  let next = 0;
  let failures = 0;
  let timer = 0;
  let first = true;

  const number = (n) => n.toLocaleString("en");
  const percent = (share) => `${Math.floor(100 * share)} %`;
  // Text direction marks and control characters could make a name read otherwise.
  const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
  const say = (text) => { by("status").textContent = text; };

  const makeCard = (id, created) => {
    const item = by("job").content.firstElementChild.cloneNode(true);
    const card = { id, created, item, label: "waiting", text: "", part: (name) => item.querySelector(`.${name}`) };
    card.part("delete").addEventListener("click", () => card.remove(card));
    cards.set(id, card);
    return card;
  };

  // Words only where they changed: a screen reader may be amid them.
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  const show = (card, name, label, stamp, text, share) => {
    const { item, part } = card;
    card.label = label;
    card.text = `${name} ${stamp} ${text}`.toLowerCase();
    item.className = `card job ${label}`;
    if (part("stamp").dataset.label !== label || part("stamp").dataset.words !== stamp) {
      const icon = by(`icon-${label}`);
      const told = document.createElement("span");
      told.textContent = stamp;
      part("stamp").replaceChildren(...(icon ? [icon.content.cloneNode(true)] : []), told);
      Object.assign(part("stamp").dataset, { label, words: stamp });
    }
    put(part("name"), visible(name));
    put(part("words"), text);
    const bar = item.querySelector("progress");
    bar.hidden = share === null;
    if (share !== null) bar.value = share;
    bar.setAttribute("aria-label", `Progress of ${visible(name)}`);
    part("delete").setAttribute("aria-label", `${part("delete").textContent} ${visible(name)}`);
  };

  const link = (card, kind, name, href, there) => {
    const anchor = card.part(kind);
    anchor.hidden = !there;
    anchor.href = href;
    anchor.setAttribute("aria-label", `${anchor.textContent} of ${visible(name)}`);
  };

  const told = (job) => {
    const card = cards.get(job.id) || makeCard(job.id, job.created);
    const ended = job.state === "done" || job.state === "failed";
    if (ended) show(card, job.name, job.label, words(job.label), job.headline, null);
    else if (job.state === "running") show(card, job.name, "waiting", `Scanning, ${percent(job.progress)}`, "", job.progress);
    else show(card, job.name, "waiting", "Waiting", "", null);
    if (ended && !card.ended && !first) say(`${visible(job.name)}: ${job.headline}`);
    card.ended = ended;
    put(card.part("when"), `${new Date(job.finished || job.created).toLocaleString()}${job.expired ? ". Its file and pictures have been deleted." : ""}`);
    link(card, "page", job.name, `v1/jobs/${job.id}/report.html`, ended);
    link(card, "json", job.name, `v1/jobs/${job.id}/report`, ended);
    link(card, "masks", job.name, `v1/jobs/${job.id}/masks`, job.masks);
    card.remove = deleteJob;
  };

  const drop = (id) => {
    const card = cards.get(id);
    if (!card) return;
    const focused = card.item.contains(document.activeElement);
    const beside = card.item.nextElementSibling || card.item.previousElementSibling;
    cards.delete(id);
    card.item.remove();
    if (focused) (beside ? beside.querySelector(".delete") : by("list")).focus();
  };

  const deleteJob = async (card) => {
    const name = card.part("name").textContent;
    if (!confirm(`Delete ${name}, its verdict and its pictures?`)) return;
    try {
      const answer = await fetch(`v1/jobs/${card.id}`, { method: "DELETE" });
      if (!answer.ok && answer.status !== 404) throw new Error();
      drop(card.id);
      say(`${name} is deleted.`);
      arrange();
    } catch {
      say(`${name} could not be deleted.`);
    }
  };

  const arrange = () => {
    const sorted = [...cards.values()].sort((a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : 0));
    // Cards that stay in their place keep the focus.
    sorted.forEach(({ item }, place) => {
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] || null);
    });
    const labels = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const search = by("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = {};
    let count = 0;
    for (const { item, label, text } of sorted) {
      counts[label] = (counts[label] || 0) + 1;
      const keep = labels.has(label) && search.every((word) => text.includes(word));
      count += keep;
      item.hidden = !keep || count > limit;
    }
    for (const box of boxes) put(tile(box.value).querySelector("strong"), number(counts[box.value] || 0));
    put(by("shown"), sorted.length ? `${number(count)} of ${number(sorted.length)} match` : "");
    put(by("none"), sorted.length ? "No job matches." : "Nothing here yet.");
    by("none").hidden = count > 0;
    by("more").hidden = count <= limit;
  };

  let busy = false;
  let again = false;
  const poll = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    clearTimeout(timer);
    let waits = false;
    try {
      let more = true;
      while (more) {
        const answer = await fetch(`v1/jobs?since=${next}&limit=1000`);
        if (answer.status === 401) return location.assign("login");
        if (!answer.ok) throw new Error();
        const news = await answer.json();
        news.jobs.forEach(told);
        news.deleted.forEach(drop);
        ({ next, more } = news);
      }
      first = false;
      failures = 0;
      by("offline").hidden = true;
      waits = [...cards.values()].some((card) => card.label === "waiting");
      arrange();
    } catch {
      failures += 1;
      by("offline").hidden = false;
    }
    busy = false;
    const soon = again;
    again = false;
    timer = setTimeout(poll, soon ? 0 : document.hidden ? 15000 : failures ? Math.min(15000, 1000 * 2 ** failures) : waits ? 700 : 3000);
  };

  let uploads = Promise.resolve();
  let count = 0;
  const refuse = (card, name, why) => {
    show(card, name, "error", "Not accepted", why, null);
    card.part("delete").textContent = "Dismiss";
    card.part("delete").setAttribute("aria-label", `Dismiss ${visible(name)}`);
    card.remove = () => {
      drop(card.id);
      arrange();
    };
    say(`${visible(name)} was not accepted: ${why}`);
    arrange();
  };

  const send = (card, file, masks) => new Promise((done) => {
    const form = new FormData();
    form.append("masks", String(masks));
    form.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", "v1/jobs");
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      show(card, file.name, "waiting", `Uploading, ${percent(loaded / total)}`, "", loaded / total);
    });
    request.addEventListener("loadend", () => {
      if (request.status === 401) return location.assign("login");
      const answer = request.response;
      if (request.status === 202) {
        drop(card.id);
        told(answer);
        arrange();
        poll();
      } else if (request.status || !card.cancelled) {
        refuse(card, file.name, answer && answer.error ? answer.error.message : "the server broke off");
      }
      done();
    });
    card.remove = () => {
      card.cancelled = true;
      request.abort();
      drop(card.id);
      arrange();
    };
    request.send(form);
  });

  const add = (files) => {
    const masks = by("masks").checked;
    for (const file of files) {
      const card = makeCard(`upload-${(count += 1)}`, new Date().toISOString());
      if (file.size > limitOf) {
        refuse(card, file.name, `it is larger than ${number(limitOf)} bytes`);
        continue;
      }
      show(card, file.name, "waiting", "Waiting to be uploaded", "", 0);
      card.remove = () => {
        card.cancelled = true;
        drop(card.id);
        arrange();
      };
      // One after the other: the first is scanned while the second comes.
      uploads = uploads.then(() => card.cancelled || send(card, file, masks));
    }
    if (files.length) say(`${number(files.length)} ${files.length === 1 ? "file" : "files"} added.`);
    arrange();
  };

  by("files").addEventListener("change", ({ target }) => {
    add([...target.files]);
    target.value = "";
  });
  const over = (event, on) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", on);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, false));
  document.addEventListener("drop", (event) => {
    over(event, false);
    add([...event.dataTransfer.files]);
  });
  for (const box of boxes) {
    box.hidden = false;
    box.addEventListener("change", arrange);
  }
  by("find").addEventListener("input", arrange);
  by("more").addEventListener("click", () => {
    limit += step;
    arrange();
  });
  for (const id of ["filters", "drop"]) by(id).addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  poll();
})();
