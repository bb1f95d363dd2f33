"use strict";
(() => {
  const text = document.getElementById("report").textContent;
  const report = JSON.parse(text);
  const thumbnails = JSON.parse(document.getElementById("thumbnails").textContent);
  const kept = Object.keys(thumbnails).map(Number);

  const timecode = (seconds) => {
    const tenths = Math.max(0, Math.floor(seconds * 10 + 0.5));
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(tenths / 36000)}:${two(Math.floor(tenths / 600) % 60)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  };

  const frames = report.frames || [];
  const end = Math.max(report.input.duration_s || 0, ...report.tracks.map((t) => t.end_s),
    frames.reduce((most, f) => Math.max(most, f.time_s), 0)) || 1;
  const timeOf = new Map(frames.map((f) => [f.index, f.time_s]));
  const nearness = 1.0; // seconds; a picture further away would show another moment

  const nearest = (list, time) => {
    let low = 0, high = list.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].time_s < time) low = middle + 1; else high = middle;
    }
    return low > 0 && time - list[low - 1].time_s <= list[low].time_s - time ? low - 1 : low;
  };

  for (const scrub of document.querySelectorAll(".scrub")) {
    const id = Number(scrub.dataset.track);
    const own = frames.filter((f) => f.track_id === id).sort((a, b) => a.time_s - b.time_s);
    const looks = own.filter((f) => f.score !== null);
    if (!looks.length) continue;
    const boxes = new Map(own.map((f) => [f.index, f.box]));
    const pictured = kept.filter((index) => boxes.has(index)).map((index) => ({ index, time_s: timeOf.get(index) }));
    const plot = scrub.querySelector(".plot");
    const slider = scrub.querySelector("input");
    const cursor = scrub.querySelector(".cursor");
    const shot = scrub.querySelector(".shot");
    const image = shot.querySelector("img");
    const frame = shot.querySelector(".face-box");
    const words = scrub.querySelector(".readout-text");

    const show = (n) => {
      const look = looks[n];
      const said = `${timecode(look.time_s)}, texture of this look ${look.score.toFixed(2)}`;
      slider.value = n;
      slider.setAttribute("aria-valuetext", said);
      words.textContent = said;
      const at = `${(100 * look.time_s) / end}%`;
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      const close = pictured.length ? pictured[nearest(pictured, look.time_s)] : null;
      const found = close && Math.abs(close.time_s - look.time_s) <= nearness;
      shot.hidden = !found;
      if (!found) return;
      image.src = thumbnails[close.index];
      image.alt = `The frame at ${timecode(close.time_s)}; face ${id} is framed`;
      const [x0, y0, x1, y1] = boxes.get(close.index);
      const { width, height } = report.input;
      frame.hidden = !(width && height);
      if (frame.hidden) return;
      frame.style.left = `${(100 * x0) / width}%`;
      frame.style.top = `${(100 * y0) / height}%`;
      frame.style.width = `${(100 * (x1 - x0)) / width}%`;
      frame.style.height = `${(100 * (y1 - y0)) / height}%`;
    };

    slider.max = looks.length - 1;
    slider.hidden = false;
    slider.addEventListener("input", () => show(Number(slider.value)));
    const point = (event) => {
      const { left, width } = plot.getBoundingClientRect();
      show(nearest(looks, ((event.clientX - left) / width) * end));
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", (event) => {
      point(event);
      event.preventDefault(); // no text selection while scrubbing
      slider.focus({ preventScroll: true });
    });
    scrub.classList.add("live");
    show(looks.reduce((best, look, n) => (look.score > looks[best].score ? n : best), 0));
  }

  const download = document.getElementById("download");
  download.hidden = false;
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text, "\n"], { type: "application/json" }));
    link.download = download.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  const print = document.getElementById("print");
  print.hidden = false;
  print.addEventListener("click", () => window.print());
})();
