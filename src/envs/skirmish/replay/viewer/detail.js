// The picked unit: its points, its weapon, and what it thinks of each of its actions.

class Detail {
  constructor(panel) {
    this.panel = panel;
    this.box = document.getElementById("detail");
  }

  redone() { this.drawn = null; }

  draw() {
    const { replay, moment, state } = this.panel, { box } = this, unit = state.picked;
    box.hidden = unit < 0 || unit >= replay.n_units;
    const key = [moment.loop, unit, this.panel.perAgent].join();
    if (box.hidden || key === this.drawn) return;
    const scrolled = box.scrollTop;
    this.drawn = key;
    box.textContent = "";
    box.style.setProperty("--side", `var(--${replay.side[unit]})`);
    const agent = unit < replay.n_agents, name = unitName(replay, unit).split(" ").pop();
    const head = element("h2", "", box, `${agent ? "Agent" : "Enemy"} ${name} · ${replay.kind[unit].title}`);
    element("span", "", head, moment.alive(unit) ? orderName(replay, moment, unit) : "dead");
    this.points(unit);
    if (agent && replay.n_steps) this.options(unit);
    box.scrollTop = scrolled;
  }

  options(unit) {
    const { replay, moment, labels } = this.panel, { box } = this;
    const options = element("div", `options${labels.length > 14 ? " many" : ""}`, box);
    const { low, high } = this.panel.range(moment.step, unit);
    for (let action = 0; action < labels.length; action++) this.option(options, unit, action, low, high);
    if (replay.values) element("p", "", box, `Bars from ${signed(low)} to ${signed(high)}, ${this.panel.perAgent ? "this agent's values in this step" : "all values of the episode"} · ▶ chosen · ★ best`);
  }

  points(unit) {
    const { replay, moment } = this.panel, kind = replay.kind[unit], box = element("div", "points", this.box);
    const bar = (label, text, part, colour) => {
      const cell = element("div", "", box), line = element("label", "", cell, label);
      element("b", "", line, text);
      const fill = element("i", "", element("div", "bar", cell));
      fill.style.width = `${(100 * Math.max(0, Math.min(part, 1))).toFixed(1)}%`;
      fill.style.background = colour;
    };
    for (const name of ["shield", "health", "energy"]) {
      const part = moment[name][unit] / kind[name];
      if (kind[name] > 0) bar(name, `${round(moment[name][unit])} / ${round(kind[name])}`, part, name === "health" ? healthColour(part) : COLOURS[name]);
    }
    if (!replay.cooldown || !replay.period[unit]) return;
    const left = moment.cooldown[unit], seconds = Math.max(left / replay.loops_per_second, 0.1).toFixed(1);
    bar("weapon", !moment.alive(unit) ? "–" : left > 0 ? `in ${seconds} s` : "ready", moment.alive(unit) ? 1 - left / replay.period[unit] : 0, COLOURS.accent);
  }

  option(options, agent, action, low, high) {
    const { panel } = this, { replay, moment } = panel, step = moment.step, value = panel.value(step, agent, action);
    const free = replay.avail[(step * replay.n_agents + agent) * panel.labels.length + action];
    const chosen = replay.actions_of(step, agent) === action, target = targetOf(replay, agent, action);
    const line = element("div", `option${chosen ? " chosen" : ""}${free ? "" : " off"}`, options);
    element("u", "", line, chosen ? "▶" : panel.best(step, agent) === action ? "★" : "");
    const name = actionName(replay, agent, action) + (target >= 0 ? ` ${replay.kind[target].glyph}` : "");
    element("span", "", line, name).title = free ? name : `${name}: not available`;
    const fill = element("i", "", element("div", "bar", line));
    fill.style.width = Number.isNaN(value) ? "0" : `${high > low ? 3 + 97 * (value - low) / (high - low) : 100}%`;
    element("em", "", line, Number.isNaN(value) ? (chosen ? "chosen" : "") : value.toPrecision(4));
  }
}
