(() => {
  const list = document.getElementById("answers");
  const answers = [...list.querySelectorAll(".answer")];
  const person = document.getElementById("person");
  const progress = document.getElementById("progress");
  const status = document.getElementById("status");
  const storageKey = `sftframe-labels-${list.dataset.page}`;
  let current = 0;
  let isKept = true;

  const chosen = (answer) => answer.querySelector("input:checked");

  function keep() {
    const labels = {};
    for (const answer of answers) {
      const input = chosen(answer);
      if (input) labels[answer.dataset.id] = input.value;
    }
    try {
      localStorage.setItem(storageKey, JSON.stringify({ person: person.value, labels }));
    } catch {
      isKept = false;
    }
    show();
  }

  function show() {
    let count = 0;
    for (const answer of answers) {
      const isLabelled = chosen(answer) !== null;
      answer.classList.toggle("is-labelled", isLabelled);
      count += isLabelled;
    }
    progress.value = count;
    status.textContent = `${count} of ${answers.length} labelled${isKept ? "" : "; this browser keeps nothing, so save the file"}`;
  }

  function restore() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(storageKey));
    } catch {
      isKept = false;
    }
    if (typeof kept?.person === "string") person.value = kept.person;
    for (const answer of answers) {
      const label = kept?.labels?.[answer.dataset.id];
      const input = [...answer.querySelectorAll("input")].find((one) => one.value === label);
      if (input) input.checked = true;
    }
  }

  function mark(position) {
    answers[current].classList.remove("is-current");
    current = position;
    answers[current].classList.add("is-current");
  }

  function go(position) {
    mark(Math.min(Math.max(position, 0), answers.length - 1));
    (chosen(answers[current]) ?? answers[current]).focus({ preventScroll: true });
    answers[current].closest(".item").scrollIntoView({ block: "nearest" });
    answers[current].scrollIntoView({ block: "nearest" });
  }

  function goToOpen() {
    const order = [...answers.keys()].map((step) => (current + 1 + step) % answers.length);
    const open = order.find((position) => chosen(answers[position]) === null);
    if (open !== undefined) go(open);
  }

  function label(value) {
    const inputs = [...answers[current].querySelectorAll("input")];
    inputs[value].checked = true;
    keep();
    go(current + 1);
  }

  function remove() {
    const input = chosen(answers[current]);
    if (input) input.checked = false;
    keep();
  }

  const quoted = (text) => `"${text.replace(/^[\s=+@-]+/, "").replaceAll('"', '""')}"`;

  function save() {
    const lines = ["id,label,person,probability,stratum"];
    for (const answer of answers) {
      const { id, probability, stratum } = answer.dataset;
      lines.push([id, chosen(answer)?.value ?? "", quoted(person.value), probability, stratum].join(","));
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = list.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  document.addEventListener("keydown", (event) => {
    if (event.target === person || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = "12345".indexOf(event.key);
    if (step >= 0) label(step);
    else if (event.key === "j") go(current + 1);
    else if (event.key === "k") go(current - 1);
    else if (event.key === "n") goToOpen();
    else if (event.key === "x") remove();
    else return;
    event.preventDefault();
  });
  list.addEventListener("change", keep);
  list.addEventListener("focusin", (event) => {
    const position = answers.indexOf(event.target.closest(".answer"));
    if (position >= 0) mark(position);
  });
  person.addEventListener("input", keep);
  document.getElementById("next").addEventListener("click", goToOpen);
  document.getElementById("save").addEventListener("click", save);

  document.getElementById("labelling").hidden = false;
  restore();
  mark(0);
  show();
})();
