"use strict";
// The page is complete without this script, which adds the theme switch, sorting, filters, links to a view, downloads.
(() => {
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);

  // Theme: the system's or the reader's choice, which is stored where the browser lets a page store something.
  const theme = find("theme");
  const themes = ["system", "light", "dark"];
  const recall = () => { try { return localStorage.getItem("harness-theme"); } catch { return null; } };
  const keep = (name) => { try { localStorage.setItem("harness-theme", name); } catch { /* the browser may refuse storage to a file */ } };
  const show = (name) => {
    if (name === "system") { delete root.dataset.theme; } else { root.dataset.theme = name; }
    theme.textContent = `Theme: ${name}`;
    theme.dataset.name = name;
  };
  if (theme) {
    const known = recall();
    show(themes.includes(known) ? known : "system");
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const next = themes[(themes.indexOf(theme.dataset.name) + 1) % themes.length];
      show(next);
      keep(next);
    });
  }

  const save = (name, type, parts) => {
    const address = URL.createObjectURL(new Blob(parts, { type }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  // The records that the page carries: base64 of gzip of JSON.
  const download = find("download");
  const block = find("harness-records");
  if (download && block && "DecompressionStream" in window) {
    download.hidden = false;
    download.addEventListener("click", async () => {
      const packed = Uint8Array.from(atob(JSON.parse(block.textContent)), (letter) => letter.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const value = JSON.parse(await new Response(stream).text());
      const records = value.sessions.flatMap((session) => session.records);
      save("records.jsonl", "application/jsonl", records.map((record) => JSON.stringify(record) + "\n"));
    });
  }

  // The table of cases: its state is kept in the address, so that a link shows the same view again.
  const table = find("case-table");
  if (!table) { return; }
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (element, place) => ({ element, place, keys: element.dataset.keys.split("\t").map((key) => key.split("\n")) }));
  const heads = Array.from(table.tHead.rows[0].cells);
  const filters = find("filters");
  const selects = Array.from(filters.querySelectorAll("select"));
  const state = { sort: "", desc: false, wanted: {} };

  const valueOf = (row, column) => {
    const cell = row.element.cells[column];
    return cell.dataset.v ?? cell.textContent.trim();
  };
  const compare = (column, isNumber) => (one, other) => {
    const [a, b] = [valueOf(one, column), valueOf(other, column)];
    if (!isNumber) { return a.localeCompare(b, "en", { numeric: true }) || one.place - other.place; }
    const [x, y] = [Number.parseFloat(one.element.cells[column].dataset.v), Number.parseFloat(other.element.cells[column].dataset.v)];
    if (Number.isNaN(x) || Number.isNaN(y)) { return Number.isNaN(x) - Number.isNaN(y) || one.place - other.place; }
    return (state.desc ? y - x : x - y) || one.place - other.place;
  };

  const draw = () => {
    const column = heads.findIndex((head) => head.dataset.name === state.sort);
    const isNumber = column >= 0 && heads[column].classList.contains("number");
    const ordered = rows.slice();
    if (column >= 0) {
      ordered.sort(compare(column, isNumber));
      if (state.desc && !isNumber) { ordered.reverse(); }
    }
    heads.forEach((head, place) => {
      if (place === column) { head.setAttribute("aria-sort", state.desc ? "descending" : "ascending"); } else { head.removeAttribute("aria-sort"); }
    });
    let count = 0;
    for (const row of ordered) {
      const isShown = selects.every((select) => !select.value || row.keys[Number(select.dataset.place)].includes(select.value));
      row.element.hidden = !isShown;
      count += isShown ? 1 : 0;
      body.append(row.element);
    }
    find("shown").textContent = `${count} of ${rows.length} cases`;
  };

  const write = () => {
    const query = new URLSearchParams();
    for (const select of selects) { if (select.value) { query.set(select.name, select.value); } }
    if (state.sort) { query.set("sort", (state.desc ? "-" : "") + state.sort); }
    const text = query.toString();
    history.pushState(null, "", text ? `#cases&${text}` : "#cases");
  };

  const read = () => {
    const [place, ...rest] = location.hash.slice(1).split("&");
    if (place !== "cases" && place !== "") { return; }
    const query = new URLSearchParams(rest.join("&"));
    for (const select of selects) {
      const value = query.get(select.name) ?? "";
      select.value = Array.from(select.options).some((option) => option.value === value) ? value : "";
    }
    const sort = query.get("sort") ?? "";
    state.desc = sort.startsWith("-");
    state.sort = sort.replace(/^-/, "");
    draw();
    if (place === "cases" && rest.length) { find("cases").scrollIntoView(); }
  };

  heads.forEach((head) => {
    const heading = head.querySelector(".heading");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceWith(button);
    button.addEventListener("click", () => {
      const name = head.dataset.name;
      const isNumber = head.classList.contains("number");
      state.desc = state.sort === name ? !state.desc : isNumber;
      state.sort = name;
      draw();
      write();
    });
  });
  for (const select of selects) { select.addEventListener("change", () => { draw(); write(); }); }
  find("clear").addEventListener("click", () => {
    for (const select of selects) { select.value = ""; }
    state.sort = "";
    draw();
    write();
  });
  find("download-table").addEventListener("click", () => {
    const quote = (text) => {
      const plain = text.replace(/\s+/g, " ").trim();
      const safe = /^[=+\-@]/.test(plain) ? `'${plain}` : plain;
      return `"${safe.replaceAll('"', '""')}"`;
    };
    const lines = [heads.map((head) => quote(head.firstElementChild.textContent))];
    for (const row of body.rows) { if (!row.hidden) { lines.push(Array.from(row.cells, (cell) => quote(cell.innerText))); } }
    save("cases.csv", "text/csv", lines.map((line) => line.join(",") + "\r\n"));
  });
  filters.hidden = false;
  addEventListener("popstate", read);
  addEventListener("hashchange", read);
  read();
})();
