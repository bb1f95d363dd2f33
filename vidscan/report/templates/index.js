"use strict";
(() => {
  const body = document.querySelector("#files tbody");
  const heads = [...document.querySelectorAll("#files thead th")];
  const rows = [...body.rows].map((row) => ({ row, label: row.dataset.label, text: row.textContent.toLowerCase() }));
  const boxes = [...document.querySelectorAll('input[name="label"]')];
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const more = document.getElementById("more");
  const step = 500; // rows laid out at once: 10,000 would make every click wait
  let limit = step;
  const number = (n) => n.toLocaleString("en");

  const filter = () => {
    const labels = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, label, text } of rows) {
      const keep = labels.has(label) && words.every((word) => text.includes(word));
      count += keep;
      row.hidden = !keep || count > limit;
    }
    const first = count > limit ? `, the first ${number(limit)} shown` : "";
    shown.textContent = `${number(count)} of ${number(rows.length)} match${first}`;
    none.hidden = count > 0;
    more.hidden = count <= limit;
  };

  const collator = new Intl.Collator("en", { numeric: true });
  const sort = (column, type, descending) => {
    const keyed = rows.map((item, place) => {
      const cell = item.row.cells[column];
      if (type === "text") return { item, place, key: cell.textContent.trim() };
      return { item, place, key: cell.dataset.key === undefined ? null : Number(cell.dataset.key) };
    });
    const sign = descending ? -1 : 1;
    keyed.sort((a, b) => {
      // What is missing stands last, whichever way the column is sorted; ties keep their order.
      const gone = (a.key === null || a.key === "") - (b.key === null || b.key === "");
      if (gone || a.key === null) return gone || a.place - b.place;
      return sign * (type === "text" ? collator.compare(a.key, b.key) : a.key - b.key) || a.place - b.place;
    });
    rows.splice(0, rows.length, ...keyed.map(({ item }) => item));
    // Outside the page nothing is styled or laid out row by row: 10,000 rows move at once.
    const table = body.parentNode;
    body.remove();
    body.replaceChildren(...rows.map(({ row }) => row));
    filter();
    table.append(body);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      head.classList.add("sorted");
      sort(column, head.dataset.type, descending);
    });
  });

  for (const box of boxes) {
    box.hidden = false;
    box.addEventListener("change", filter);
  }
  more.addEventListener("click", () => {
    limit += step;
    filter();
  });
  let waiting = 0;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("reset").addEventListener("click", () => {
    for (const box of boxes) box.checked = true;
    find.value = "";
    filter();
    find.focus();
  });
  const watch = document.getElementById("watch");
  if (watch) {
    const reload = document.getElementById("reload");
    // Kept in the address: unlike storage it is there at once when the page is loaded again.
    const still = "#still";
    reload.checked = location.hash !== still;
    reload.closest("label").hidden = false;
    reload.addEventListener("change", () =>
      history.replaceState(null, "", location.href.split("#")[0] + (reload.checked ? "" : still)));
    // Nothing that somebody has found or sorted may be taken away, nor a page that nobody sees be loaded.
    const untouched = () =>
      !find.value && limit === step && boxes.every((box) => box.checked) && !document.querySelector("#files .sorted");
    setInterval(() => {
      if (reload.checked && untouched() && document.visibilityState === "visible") location.reload();
    }, 1000 * Number(watch.dataset.reload));
  }
  find.closest("p").hidden = false;
  filter();
})();
