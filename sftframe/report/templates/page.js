(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("answer-list");
  if (!list) return;
  const search = byId("answer-search");
  const sort = byId("answer-sort");
  const filter = byId("answer-filter");
  const more = byId("answer-more");
  const PAGE = 25;
  const items = [...list.children];
  const texts = new Map();
  let ordered = items;
  let limit = PAGE;

  const text = (item) => {
    if (!texts.has(item)) {
      const parts = [...item.querySelectorAll("[data-text]")].map((part) => part.textContent);
      texts.set(item, parts.join("\n").toLowerCase());
    }
    return texts.get(item);
  };

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const flag = filter.querySelector(":checked").value;
    const found = ordered.filter((item) =>
      (flag === "all" || item.dataset.flags.split(" ").includes(flag)) && words.every((word) => text(item).includes(word)));
    const shown = new Set(found.slice(0, limit));
    for (const item of items) item.hidden = !shown.has(item);
    more.hidden = found.length <= limit;
    byId("answer-status").textContent = `${found.length} of ${items.length} match, ${shown.size} shown`;
  };
  const restart = () => { limit = PAGE; show(); };

  const reorder = () => {
    const [key, direction] = sort.value.split(",");
    const value = (item) => item.dataset[key] === "" ? Infinity : direction * item.dataset[key];
    ordered = key ? [...items].sort((a, b) => value(a) - value(b) || 0) : items;
    list.append(...ordered);
    restart();
  };

  const reveal = () => {
    const item = byId(location.hash.slice(1));
    if (!item || item.parentNode !== list) return;
    item.hidden = false;
    item.scrollIntoView();
  };

  byId("answer-controls").hidden = false;
  search.addEventListener("input", restart);
  filter.addEventListener("change", restart);
  sort.addEventListener("change", reorder);
  more.addEventListener("click", () => { limit += 4 * PAGE; show(); });
  addEventListener("hashchange", reveal);
  show();
  reveal();
})();
