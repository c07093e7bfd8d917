"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const images = new Map(data.items);
  const fieldset = (name) => document.querySelector(`fieldset[data-name="${CSS.escape(name)}"]`);
  const inputs = (name) => [...fieldset(name).querySelectorAll("input")];
  const GAP = 10; // smallest distance between an image and its repeat, if there are enough images

  let annotator = "";
  let order = []; // [image id, whether this is the repeat]
  let answers = {}; // position -> {values, seconds, timestamp, skipped}
  let at = 0;
  let shownAt = 0;
  let active = "";

  // A random stream per annotator: the same code always gives the same order.
  function stream(text) {
    let state = 2166136261;
    for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  function shuffled(values, random) {
    const copy = [...values];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy;
  }

  function ordered() {
    const random = stream(`${data.batch}/${annotator}`);
    const list = shuffled(images.keys(), random).map((id) => [id, false]);
    for (const id of data.repeats) {
      const first = list.findIndex(([other]) => other === id);
      const from = Math.min(first + GAP, list.length);
      list.splice(from + Math.floor(random() * (list.length - from + 1)), 0, [id, true]);
    }
    return list;
  }

  // Progress is stored in the browser. If that is not possible, the page says so.
  const place = () => `evenhand/${data.batch}/${annotator}`;
  function stored(act) {
    try {
      return act(window.localStorage);
    } catch (fault) {
      $("storage").textContent =
        `This browser cannot store your progress (${fault.name}). Save your answers before you close the page.`;
      return null;
    }
  }
  const keep = () => stored((storage) => storage.setItem(place(), JSON.stringify(answers)));

  function chosen(name) {
    return inputs(name).filter((input) => input.checked).map((input) => input.value);
  }

  // The questions up to the one whose answer ends the form.
  function asked() {
    const last = data.questions.findIndex((q) => q.ends && chosen(q.name).includes(q.ends));
    return last < 0 ? data.questions : data.questions.slice(0, last + 1);
  }
  const complete = (question) => question.several || chosen(question.name).length > 0;

  function activate(name) {
    active = name;
    for (const box of document.querySelectorAll("fieldset")) {
      box.classList.toggle("active", box.dataset.name === name);
    }
  }

  function focusOn(name) {
    activate(name);
    const list = inputs(name);
    (list.find((input) => input.checked) || list[0]).focus();
    fieldset(name).scrollIntoView({ block: "nearest" });
  }

  function refresh() {
    const names = asked().map((question) => question.name);
    for (const question of data.questions) {
      const off = !names.includes(question.name);
      fieldset(question.name).hidden = off;
      if (complete(question)) fieldset(question.name).classList.remove("wanting");
    }
    if (!names.includes(active)) activate(names[names.length - 1]);
  }

  function goOn(name) {
    const list = asked();
    const following = list[list.findIndex((question) => question.name === name) + 1];
    if (following) focusOn(following.name);
    else $("next").focus();
  }

  function show(position) {
    at = position;
    const [id] = order[at];
    $("image").src = images.get(id);
    $("position").textContent = `Image ${at + 1} of ${order.length}`;
    $("progress").value = Object.keys(answers).length;
    $("alert").textContent = "";
    $("back").disabled = at === 0;
    const known = (answers[at] && answers[at].values) || {};
    for (const question of data.questions) {
      fieldset(question.name).classList.remove("wanting");
      for (const input of inputs(question.name)) {
        input.checked = (known[question.name] || []).includes(input.value);
      }
    }
    refresh();
    $("start").hidden = $("done").hidden = true;
    $("work").hidden = false;
    window.scrollTo(0, 0);
    focusOn(data.questions[0].name);
    shownAt = performance.now();
  }

  function finish() {
    const all = Object.values(answers);
    const skipped = all.filter((answer) => answer.skipped).length;
    const open = order.length - all.length;
    $("done-title").textContent = open ? "This was the last image" : "All images are done";
    $("done-text").textContent =
      `${all.length - skipped} answered, ${skipped} skipped, ${open} open, of ${order.length}.`;
    $("start").hidden = $("work").hidden = true;
    $("done").hidden = false;
    $("done-title").focus();
  }

  function record(skipped) {
    const before = (answers[at] && answers[at].seconds) || 0;
    const values = {};
    if (!skipped) for (const question of asked()) values[question.name] = chosen(question.name);
    answers[at] = {
      values,
      skipped,
      seconds: before + (performance.now() - shownAt) / 1000,
      timestamp: new Date().toISOString(),
    };
    keep();
    if (at + 1 < order.length) show(at + 1);
    else finish();
  }

  function next() {
    const missing = asked().filter((question) => !complete(question));
    for (const question of missing) fieldset(question.name).classList.add("wanting");
    if (missing.length) {
      $("alert").textContent = `Please answer: ${missing[0].text}`;
      focusOn(missing[0].name);
    } else record(false);
  }

  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function rows() {
    const found = [];
    for (const [position, answer] of Object.entries(answers)) {
      if (answer.skipped) continue;
      const [id, again] = order[position];
      const common = {
        image_id: id,
        annotator_id: annotator,
        seconds: answer.seconds.toFixed(1),
        batch_id: data.batch,
        form_version: data.version,
        timestamp: answer.timestamp,
        is_repeat: again ? "1" : "0",
      };
      for (const question of data.questions.filter((q) => q.place === "column")) {
        common[question.name] = (answer.values[question.name] || []).join(data.between);
      }
      const ended = data.questions.find((q) => q.ends && (answer.values[q.name] || []).includes(q.ends));
      for (const question of data.questions.filter((q) => q.place === "attribute")) {
        const labels = answer.values[question.name] || [];
        const label = labels.join(data.between) || (ended ? question.otherwise : "");
        if (label) found.push({ ...common, attribute: question.name, label });
      }
    }
    return found;
  }

  function save() {
    const lines = rows().map((row) => data.columns.map((column) => quoted(row[column] || "")).join(","));
    const text = [data.columns.join(","), ...lines, ""].join("\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `answers-${data.batch}-${annotator}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function begin(event) {
    event.preventDefault();
    annotator = $("annotator").value;
    if (annotator === "aggregate") {
      $("start-alert").textContent = "“aggregate” is reserved; enter the code that you were given.";
      return;
    }
    order = ordered();
    answers = JSON.parse(stored((storage) => storage.getItem(place())) || "{}");
    const open = order.findIndex((_, position) => !(position in answers));
    if (open < 0) finish();
    else show(open);
  }

  function choose(event) {
    const name = event.target.name;
    const question = data.questions.find((q) => q.name === name);
    if (!question) return;
    refresh();
    const list = asked();
    const following = list[list.indexOf(question) + 1];
    activate(!question.several && following ? following.name : name);
  }

  function press(event) {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if ($("work").hidden || !$("shortcuts").checked || !plain) return;
    const button = event.target.closest("button, summary, #shortcuts");
    if (event.key === "Enter" && !button) {
      event.preventDefault();
      const question = data.questions.find((q) => q.name === active);
      if (asked().indexOf(question) + 1 < asked().length && complete(question)) goOn(active);
      else next();
    } else if (event.key === "Backspace") {
      event.preventDefault();
      if (at > 0) show(at - 1);
    } else {
      const input = inputs(active).find((option) => option.dataset.key === event.key.toLowerCase());
      if (!input) return;
      event.preventDefault();
      const name = active;
      input.click();
      if (input.type === "radio") goOn(name);
    }
  }

  $("who").addEventListener("submit", begin);
  $("form").addEventListener("submit", (event) => (event.preventDefault(), next()));
  $("form").addEventListener("change", choose);
  $("form").addEventListener("focusin", (event) => {
    const box = event.target.closest("fieldset");
    if (box && event.target.matches(":focus-visible")) activate(box.dataset.name);
  });
  $("back").addEventListener("click", () => show(at - 1));
  $("skip").addEventListener("click", () => record(true));
  $("save").addEventListener("click", save);
  $("save-all").addEventListener("click", save);
  $("review").addEventListener("click", () => show(order.length - 1));
  $("shortcuts").addEventListener("change", (event) => {
    document.body.classList.toggle("quiet", !event.target.checked);
  });
  document.addEventListener("keydown", press);
})();
