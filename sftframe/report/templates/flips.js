(() => {
  const byId = (id) => document.getElementById(id);
  const block = byId("flip-data");
  if (!block) return;
  const { texts, items, pairs, digits, direction } = JSON.parse(block.textContent);
  const PAGE = 25;
  const LONG = 400;
  const MANY_LINES = 8;
  const [search, pair, rows, more] = ["flip-search", "flip-pair", "flip-rows", "flip-more"].map(byId);
  const headers = [...document.querySelectorAll("#flip-table th[data-sort]")];
  const VALUE = { index: (flip) => flip.index, difference: (flip) => flip.difference };
  const searched = new Map();
  const prepared = new Map();
  let sort = { key: "difference", order: "other" };
  let found = [];
  let limit = PAGE;

  const element = (tag, className, ...children) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };

  const flips = () => {
    if (!prepared.has(pair.value)) {
      prepared.set(pair.value, pairs[pair.value].rows.map(([index, difference, before, after, baseline, candidate, seed]) => {
        const [instruction, input, reference, ...earlier] = items[index].map((id) => texts[id]);
        const [first, second] = [texts[baseline], texts[candidate]];
        return { index, difference, before, after, baseline: first, candidate: second, seed, instruction, input, reference, earlier };
      }));
    }
    return prepared.get(pair.value);
  };

  const searchable = (flip) => {
    if (!searched.has(flip)) {
      const parts = [flip.index, flip.instruction, flip.input, flip.reference, flip.baseline, flip.candidate, ...flip.earlier];
      searched.set(flip, parts.join("\n").toLowerCase());
    }
    return searched.get(flip);
  };

  const number = (value) => value === null ? "–" : value.toFixed(digits).replace("-", "−");
  const signed = (value) => (value > 0 ? "+" : "") + number(value);
  const isBetter = (flip) => flip.difference * (direction || 1) > 0;
  const word = (flip) => {
    if (!flip.difference) return "mixed";
    if (!direction) return flip.difference > 0 ? "higher" : "lower";
    return isBetter(flip) ? "better" : "worse";
  };

  const shown = (text) => {
    if (!text.trim()) return element("em", "none", "empty");
    const full = element("div", "text", text);
    full.dir = "auto";
    if (text.length <= LONG && text.split("\n").length <= MANY_LINES) return full;
    const short = element("span", "text", `${text.trim().replace(/\s+/g, " ").slice(0, 160)} …`);
    short.dir = "auto";
    const size = text.length > LONG ? `${text.length.toLocaleString("en")} characters` : `${text.split("\n").length} lines`;
    const count = element("span", "more", `all ${size}`);
    return element("details", "long", element("summary", "", short, " ", count), full);
  };

  const cell = (label, ...children) => {
    const made = element("td", "", ...children);
    made.setAttribute("role", "cell");
    made.dataset.label = label;
    return made;
  };

  const answer = (label, text, scores, seed) => {
    const told = element("p", "meta", `score ${scores.map(number).join(" · ")}`);
    if (scores.length > 1) told.append(`; answer of seed ${seed}`);
    return cell(label, shown(text), told);
  };

  const history = (said) => {
    if (!said.length) return [];
    const made = element("details", "input", element("summary", "", `Before it: ${said.length / 2} messages`));
    for (let at = 0; at < said.length; at += 2) {
      made.append(element("div", "", element("span", "label", said[at]), shown(said[at + 1])));
    }
    return [made];
  };

  const row = (flip) => {
    const head = element("th", "num", String(flip.index));
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    const question = cell("Question", ...history(flip.earlier), shown(flip.instruction));
    if (flip.input) question.append(element("div", "input", shown(flip.input)));
    const difference = cell("Difference", element("span", "mean", signed(flip.difference)), element("small", word(flip), word(flip)));
    difference.className = "num";
    const made = element("tr", "", head, difference, question, cell("Reference", shown(flip.reference)),
      answer("Baseline", flip.baseline, flip.before, flip.seed), answer("Candidate", flip.candidate, flip.after, flip.seed));
    made.setAttribute("role", "row");
    return made;
  };

  const compare = (a, b) => {
    const value = VALUE[sort.key];
    if (sort.order === "other") return Math.abs(b.difference) - Math.abs(a.difference) || a.index - b.index;
    return (sort.order === "ascending" ? 1 : -1) * (value(a) - value(b)) || a.index - b.index;
  };

  const draw = () => {
    rows.append(...found.slice(rows.childElementCount, limit).map(row));
    more.hidden = found.length <= limit;
    byId("flip-status").textContent =
      `${found.length.toLocaleString("en")} of ${flips().length.toLocaleString("en")} items match, ${rows.childElementCount.toLocaleString("en")} shown`;
  };

  const restart = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = document.querySelector("#flip-direction :checked").value;
    const fits = (flip) => wanted === "all" || flip.difference * (direction || 1) * wanted > 0;
    found = flips().filter((flip) => fits(flip) && words.every((word) => searchable(flip).includes(word))).sort(compare);
    for (const header of headers) header.setAttribute("aria-sort", header.dataset.sort === sort.key ? sort.order : "none");
    byId("flip-candidate").textContent = pairs[pair.value].candidate;
    limit = PAGE;
    rows.replaceChildren();
    draw();
  };

  for (const header of headers) {
    header.querySelector("button").addEventListener("click", () => {
      const { sort: key } = header.dataset;
      const first = key === "index" ? "ascending" : "descending";
      const second = key === "index" ? "descending" : "ascending";
      sort = { key, order: sort.key === key && sort.order === first ? second : first };
      restart();
    });
  }
  search.addEventListener("input", restart);
  pair.addEventListener("change", restart);
  byId("flip-direction").addEventListener("change", restart);
  more.addEventListener("click", () => { limit += 4 * PAGE; draw(); });
  byId("flip-controls").hidden = false;
  byId("flip-table").hidden = false;
  restart();
})();
