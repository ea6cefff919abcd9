(() => {
  "use strict";
  const kinds = ["blue", "green", "answers"];
  const bins = new Map(), marks = [];
  const byId = (id) => document.getElementById(id);
  const text = (id, value) => { byId(id).textContent = value; };
  const milliseconds = (value) => value == null ? "none" : value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${Math.round(value)} ms`;
  let waiting = false;

  // as often as the screen can take it, and not while nobody looks
  function drawn() {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; draw(); }, document.hidden ? 2000 : 400);
  }

  function draw() {
    const rows = [...bins.values()].sort((a, b) => a.at - b.at);
    const x = rows.map((row) => row.at);
    const shown = kinds.filter((kind) => rows.some((row) => row[kind]));
    const failed = rows.filter((row) => row.failed);
    const top = Math.max(1, ...rows.map((row) => kinds.reduce((sum, kind) => sum + (row[kind] || 0), 0))) * 1.3;
    const rates = shown.map((kind) => ({ name: kind, role: kind === "answers" ? "corrected" : kind, x,
      y: rows.map((row) => row[kind] || 0), stackgroup: "rate", line: { width: 0, shape: "hv" } }));
    const drops = { name: "failed", role: "fail", mode: "markers", marker: { symbol: "x", size: 9 },
      x: failed.map((row) => row.at), y: failed.map(() => top * 0.9), text: failed.map((row) => `${row.failed} failed`), hoverinfo: "text+x" };
    const p99 = { name: "p99", role: "corrected", mode: "lines", yaxis: "y2", x, y: rows.map((row) => row.p99), line: { width: 1.5 } };
    cyan.draw("live-figure", { data: [...rates, drops, p99], layout: {
      height: 440, xaxis: { title: { text: "seconds since it began" }, anchor: "y2", range: [0, Math.max(10, ...x) + 1] },
      yaxis: { domain: [0.36, 1], range: [0, top], fixedrange: true, title: { text: "answers" } },
      yaxis2: { domain: [0, 0.28], type: "log", nticks: 4, fixedrange: true, title: { text: "p99 ms" } },
      shapes: marks.map((mark) => ({ type: "line", role: mark.role, x0: mark.at, x1: mark.at, y0: 0, y1: 1, yref: "paper", line: { width: 1.2 } })),
    } });
    document.body.dataset.drawn = "yes";
  }

  function line(list, words, kind) {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = words;
    list.append(item);
    return item;
  }

  let steps = null;
  const act = {
    says: (event) => text("says", event.says),
    begins(event) {
      text("says", `act ${event.begins + 1}: ${event.name}`);
      const item = line(document.querySelector(".steps"), event.name, "act");
      item.id = `act-${event.begins}`;
      steps = item.appendChild(document.createElement("ul"));
    },
    step(event) {
      if (steps) line(steps, `${event.step}, ${event.took.toFixed(2)} s: ${event.text}`, event.well ? "well" : "ill");
      marks.push({ at: event.at, role: event.well ? (event.step === "switch" ? "ink" : "rule") : "fail" });
    },
    ended(event) {
      const item = byId(`act-${event.ended}`);
      if (item) item.firstChild.textContent += ` · exit ${event.code} · live: ${event.live}`;
    },
    bins(event) {
      for (const bin of event.bins) bins.set(bin.at, bin);
      text("p99", milliseconds(event.bins.at(-1).p99));
    },
    pace(event) {
      text("sent", event.pace.sent.toLocaleString("en"));
      text("failed", event.pace.failed.toLocaleString("en"));
      byId("failed").className = event.pace.failed ? "bad" : "";
      text("in-flight", event.pace.in_flight);
      text("gap", milliseconds(event.gap));
    },
    done(event) { text("says", event.done); source.close(); },
  };

  const source = new EventSource("/events");
  // told from the first event on at each connection, also at one that was lost and made anew
  source.onopen = () => { bins.clear(); marks.length = 0; document.querySelector(".steps").replaceChildren(); };
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    for (const [name, does] of Object.entries(act)) if (name in event) does(event);
    drawn();
  };
})();
