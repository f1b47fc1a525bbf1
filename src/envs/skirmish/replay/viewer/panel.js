// The side panel: both armies, the reward, what every agent does, and how it values its actions.

const RAMP = ["#16233f", "#1f4a78", "#22837f", "#7dbd5c", "#f3dc4b"];

function ramp(part) {
  const place = Math.max(0, Math.min(part, 1)) * (RAMP.length - 1), k = Math.min(Math.floor(place), RAMP.length - 2);
  return mix(RAMP[k], RAMP[k + 1], place - k);
}

function element(tag, className, parent, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

function signed(number) { return Number.isFinite(number) ? number.toFixed(Math.abs(number) < 100 ? 2 : 1) : "–"; }

class Panel {
  constructor(replay, moment, state) {
    Object.assign(this, { replay, moment, state, perAgent: true, heatView: {} });
    this.heat = document.getElementById("heat");
    this.detail = document.getElementById("detail");
    this.labels = ["–", "■", "↑", "↓", "→", "←", ...replay.actions.slice(6).map((_, k) => String(k))];
    this.row = replay.n_agents > 14 ? 20 : 26;
    document.documentElement.style.setProperty("--row", `${this.row}px`);
    this.build();
  }

  build() {
    const { replay } = this;
    this.teams = ["ally", "enemy"].map((side) => this.buildTeam(side));
    const score = document.getElementById("score");
    this.scores = ["Last reward", "Return so far"].map((label) => {
      const box = element("div", "", score);
      element("label", "", box, label);
      return element("output", "", box);
    });
    this.chart = element("canvas", "", score);
    this.chart.title = "Reward of each env step";
    const rows = document.getElementById("agents-rows");
    this.rows = Array.from({ length: replay.n_agents }, (_, agent) => this.buildAgent(rows, agent));
    document.getElementById("agents-title").textContent = replay.values ? "Agents, values of actions" : "Agents, available actions";
    this.buildScale();
    this.heat.addEventListener("pointermove", (event) => this.point(event));
    this.heat.addEventListener("pointerleave", () => this.unpoint());
    this.heat.addEventListener("click", (event) => this.state.pick(this.agentAt(event)));
  }

  buildTeam(side) {
    const box = element("div", "team", document.getElementById("teams"));
    box.style.setProperty("--side", `var(--${side})`);
    const head = element("div", "name", box), units = this.replay.kind.map((_, unit) => unit).filter((unit) => this.replay.side[unit] === side);
    element("span", "", head, side === "ally" ? "Agents" : "Enemies");
    const count = element("span", "", head), bar = element("i", "", element("div", "bar", box)), types = element("div", "types", box);
    const kinds = [...new Set(units.map((unit) => this.replay.kind[unit]))].map((kind) => {
      const line = element("span", "", types);
      element("b", "", line, kind.glyph);
      return { kind, text: element("span", "", line), units: units.filter((unit) => this.replay.kind[unit] === kind) };
    });
    return { side, count, bar, kinds, units };
  }

  buildAgent(rows, agent) {
    const row = element("div", "agent", rows);
    element("span", "id", row, String(agent));
    element("span", "glyph", row, this.replay.kind[agent].glyph);
    const bar = element("i", "", element("div", "bar", row)), act = element("span", "act", row);
    row.title = unitName(this.replay, agent);
    row.addEventListener("click", () => this.state.pick(agent === this.state.picked ? -1 : agent));
    row.addEventListener("pointerenter", () => { this.state.pointed = agent; this.state.redraw(); });
    row.addEventListener("pointerleave", () => { this.state.pointed = -1; this.state.redraw(); });
    return { row, bar, act };
  }

  buildScale() {
    const scale = document.getElementById("scale");
    if (!this.replay.values) return;
    this.low = element("span", "", scale);
    element("i", "", scale).style.background = `linear-gradient(90deg, ${RAMP.join(",")})`;
    this.high = element("span", "", scale);
    this.scaleButton = element("button", "", scale);
    this.scaleButton.addEventListener("click", () => this.toggleScale());
    this.toggleScale(true);
  }

  toggleScale(perAgent = !this.perAgent) {
    if (!this.replay.values) return;
    this.perAgent = perAgent;
    this.scaleButton.textContent = perAgent ? "per agent" : "whole episode";
    this.scaleButton.title = "Colours from the lowest to the highest value of each agent, or of the whole episode (S)";
    this.low.textContent = perAgent ? "least" : signed(this.replay.value_low);
    this.high.textContent = perAgent ? "most" : signed(this.replay.value_high);
    this.drawn = null;
    this.state.redraw();
  }

  // Value of an action in a step; NaN where none is stored or the action is not available.
  value(step, agent, action) {
    const { replay } = this, i = (step * replay.n_agents + agent) * replay.actions.length + action;
    if (!replay.values || !replay.avail[i]) return NaN;
    return replay.value_low + (replay.values[i] / 65535) * (replay.value_high - replay.value_low);
  }

  draw() {
    const { moment, replay } = this;
    for (const team of this.teams) this.drawTeam(team);
    const last = moment.played ? replay.reward[moment.played - 1] : NaN;
    this.scores[0].textContent = signed(last);
    this.scores[1].textContent = signed(replay.returns[moment.played]);
    this.rows.forEach((row, agent) => this.drawAgent(row, agent));
    const key = [moment.step, this.state.picked, this.state.pointed, this.heat.clientWidth, window.devicePixelRatio].join();
    if (key === this.drawn) return;
    this.drawn = key;
    if (replay.n_steps) this.drawHeat();
    this.drawDetail();
    this.drawChart();
  }

  drawTeam({ side, count, bar, kinds, units }) {
    const living = (list) => list.filter((unit) => this.moment.alive(unit)).length;
    count.textContent = `${living(units)} / ${units.length}`;
    bar.style.width = `${(100 * this.replay.held[side][this.moment.loop]).toFixed(1)}%`;
    for (const { kind, text, units: some } of kinds) text.textContent = ` ${kind.title} ${living(some)}/${some.length}`;
  }

  drawAgent({ row, bar, act }, agent) {
    const { replay, moment } = this, kind = replay.kind[agent], alive = moment.alive(agent);
    const part = (moment.health[agent] + moment.shield[agent]) / (kind.health + kind.shield);
    bar.style.width = `${(100 * part).toFixed(0)}%`;
    bar.style.background = part > 0.6 ? "#58d66b" : part > 0.3 ? "#e6c84f" : "#f05545";
    const action = replay.n_steps ? replay.actions_of(moment.step, agent) : 0;
    act.textContent = alive ? actionName(replay, agent, action) : "dead";
    row.className = `agent${alive ? "" : " dead"}${agent === this.state.picked ? " picked" : ""}`;
  }

  // The table of values: a row per agent, a column per action.
  drawHeat() {
    const { replay, heat, heatView: view, row, labels } = this, n = labels.length, step = this.moment.step;
    heat.style.height = `${20 + row * replay.n_agents}px`;
    resize(heat, view);
    const ctx = heat.getContext("2d"), width = Math.min(view.width / n, 44);
    view.cell = width;
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    ctx.clearRect(0, 0, view.width, view.height);
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    const every = Math.ceil(18 / width);
    labels.forEach((label, action) => {
      ctx.font = `${width < 9 && action < 6 ? 9 : 11}px system-ui, sans-serif`;
      ctx.fillStyle = action < 6 ? "#8391a8" : replay.palette.enemy;
      if (action < 6 ? width >= 6.5 : (action - 6) % every === 0) ctx.fillText(label, (action + 0.5) * width, 10);
    });
    for (let agent = 0; agent < replay.n_agents; agent++) this.drawRow(ctx, step, agent, width);
  }

  drawRow(ctx, step, agent, width) {
    const { replay, row } = this, n = this.labels.length, top = 20 + agent * row, first = (step * replay.n_agents + agent) * n;
    const values = Array.from({ length: n }, (_, action) => this.value(step, agent, action));
    const known = values.filter((value) => !Number.isNaN(value));
    const low = this.perAgent ? Math.min(...known) : replay.value_low, high = this.perAgent ? Math.max(...known) : replay.value_high;
    const gap = width > 12 ? 1.5 : 0.5, chosen = replay.actions_of(step, agent), best = values.indexOf(Math.max(...known));
    const dead = !this.moment.alive(agent) || replay.diesAt[agent] <= step * replay.step_mul;
    for (let action = 0; action < n; action++) {
      const left = action * width, value = values[action], part = high > low ? (value - low) / (high - low) : 0.5;
      const free = replay.avail[first + action] && !dead;
      ctx.fillStyle = !free ? "#1b2029" : Number.isNaN(value) ? "#33507c" : ramp(part);
      ctx.fillRect(left + gap / 2, top + 1, width - gap, row - 2);
      if (free && !Number.isNaN(value) && width >= 25) {
        ctx.fillStyle = part > 0.62 ? "#0b0f16" : "#e4ecfa";
        ctx.font = `${width < 31 ? 9 : 10.5}px system-ui, sans-serif`;
        ctx.fillText(value.toFixed(Math.abs(value) < 9.995 ? 2 : 1), left + width / 2, top + row / 2 + 0.5);
      }
    }
    if (dead) return;
    if (known.length && best !== chosen) this.mark(ctx, best * width, top, width, "#ffffff70", 1);
    this.mark(ctx, chosen * width, top, width, "#ffffff", 2);
  }

  mark(ctx, left, top, width, colour, thick) {
    const out = width < 7 ? 1 : 0, pen = out ? 1 : thick;    // a frame inside a narrow cell would fill it
    ctx.strokeStyle = colour;
    ctx.lineWidth = pen;
    ctx.strokeRect(left - out + pen / 2, top + 0.5 + pen / 2, width + 2 * out - pen, this.row - 1 - pen);
  }

  agentAt(event) {
    const agent = Math.floor((event.offsetY - 20) / this.row);
    return agent >= 0 && agent < this.replay.n_agents ? agent : -1;
  }

  point(event) {
    const agent = this.agentAt(event), action = Math.floor(event.offsetX / this.heatView.cell);
    if (agent < 0 || action >= this.labels.length) { this.unpoint(); return; }
    const { replay, moment } = this, i = (moment.step * replay.n_agents + agent) * this.labels.length + action;
    const target = targetOf(replay, agent, action), value = this.value(moment.step, agent, action);
    const words = [`${agent}: ${actionName(replay, agent, action)}${target >= 0 ? ` (${replay.kind[target].title})` : ""}`];
    words.push(!replay.avail[i] ? "not available" : Number.isNaN(value) ? "available" : value.toPrecision(4));
    if (replay.actions_of(moment.step, agent) === action) words.push("chosen");
    this.heat.title = words.join(" · ");
    if (this.state.pointed !== agent) { this.state.pointed = agent; this.state.redraw(); }
  }

  unpoint() { this.state.pointed = -1; this.state.redraw(); }

  // The picked unit: its available actions, best first.
  drawDetail() {
    const { replay, moment, detail, state } = this, agent = state.picked;
    detail.hidden = agent < 0 || agent >= replay.n_agents || !replay.n_steps;
    if (detail.hidden) return;
    detail.textContent = "";
    const head = element("h2", "", detail, `Agent ${agent} · ${replay.kind[agent].title}`);
    element("span", "", head, `step ${moment.step + 1}`);
    const chosen = replay.actions_of(moment.step, agent), first = (moment.step * replay.n_agents + agent) * this.labels.length;
    const options = this.labels.map((_, action) => ({ action, value: this.value(moment.step, agent, action) }))
      .filter(({ action }) => replay.avail[first + action]).sort((a, b) => (b.value - a.value || a.action - b.action));
    const values = options.map(({ value }) => value), low = Math.min(...values), high = Math.max(...values);
    for (const { action, value } of options) {
      const line = element("div", `option${action === chosen ? " chosen" : ""}`, detail), target = targetOf(replay, agent, action);
      element("span", "", line, actionName(replay, agent, action) + (target >= 0 ? ` ${replay.kind[target].glyph}` : ""));
      const bar = element("i", "", element("div", "bar", line));
      bar.style.width = Number.isNaN(value) ? "0" : `${high > low ? 4 + 96 * (value - low) / (high - low) : 100}%`;
      element("em", "", line, Number.isNaN(value) ? (action === chosen ? "chosen" : "") : value.toPrecision(4));
    }
  }

  // Reward of each env step; what has been played is bright.
  drawChart() {
    const { replay, chart, moment } = this, view = this.chartView ??= {};
    resize(chart, view);
    const ctx = chart.getContext("2d"), most = Math.max(1e-9, ...replay.reward.map(Math.abs));
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    ctx.clearRect(0, 0, view.width, view.height);
    const width = view.width / Math.max(replay.n_steps, 1), root = (reward) => Math.sqrt(Math.abs(reward) / most);
    const up = root(Math.max(0, ...replay.reward)), down = root(Math.min(0, ...replay.reward));
    const tall = (view.height - 3) / (up + down || 1), zero = 1 + up * tall;
    ctx.fillStyle = "#303b50";
    ctx.fillRect(0, zero, view.width, 1);
    replay.reward.forEach((reward, step) => {
      const height = root(reward) * tall;    // roots: the win bonus would flatten the rest
      ctx.fillStyle = step < moment.played ? "#e8c15a" : "#3d4759";
      ctx.fillRect(step * width, reward >= 0 ? zero - height : zero, Math.max(width - 1, 0.7), height);
    });
  }
}
