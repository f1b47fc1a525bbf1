// The side panel: both armies, the reward, what every agent does, and how it values its actions.

function element(tag, className, parent, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

function signed(number) { return Number.isFinite(number) ? number.toFixed(Math.abs(number) < 100 ? 2 : 1) : "–"; }

class Panel {
  constructor(state) {
    Object.assign(this, { state, perAgent: true, heatView: {}, chartView: {} });
    this.heat = document.getElementById("heat");
    this.detail = new Detail(this);
    this.heat.addEventListener("pointermove", (event) => this.point(event));
    this.heat.addEventListener("pointerleave", () => this.unpoint());
    this.heat.addEventListener("click", (event) => this.state.pick(this.agentAt(event)));
  }

  show(replay, moment) {
    Object.assign(this, { replay, moment });
    for (const id of ["teams", "score", "agents-rows", "scale"]) document.getElementById(id).textContent = "";
    this.labels = ["–", "■", "↑", "↓", "→", "←", ...replay.actions.slice(6).map((_, k) => String(k))];
    this.row = replay.n_agents > 14 ? 20 : 26;
    document.documentElement.style.setProperty("--row", `${this.row}px`);
    this.build();
    this.redone();
  }

  // Other colours, or another battle.
  redone() {
    this.drawn = null;
    this.detail.redone();
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
    document.getElementById("agents-title").textContent = replay.values ? "Values of actions" : "Available actions";
    this.buildScale();
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
    element("i", "", scale);
    this.high = element("span", "", scale);
    this.scaleButton = element("button", "", scale);
    this.scaleButton.addEventListener("click", () => this.toggleScale());
    this.toggleScale(this.perAgent);
  }

  toggleScale(perAgent = !this.perAgent) {
    if (!this.replay.values) return;
    this.perAgent = perAgent;
    this.scaleButton.textContent = perAgent ? "per agent" : "whole episode";
    this.scaleButton.title = "Colours from the lowest to the highest value of each agent, or of the whole episode (S)";
    this.low.textContent = perAgent ? "least" : signed(this.replay.value_low);
    this.high.textContent = perAgent ? "most" : signed(this.replay.value_high);
    this.redone();
    this.state.redraw();
  }

  // Value of an action in a step; NaN where none is stored or the action is not available.
  value(step, agent, action) {
    const { replay } = this, i = (step * replay.n_agents + agent) * replay.actions.length + action;
    if (!replay.values || !replay.avail[i]) return NaN;
    return replay.value_low + (replay.values[i] / 65535) * (replay.value_high - replay.value_low);
  }

  values(step, agent) { return this.labels.map((_, action) => this.value(step, agent, action)); }

  // The available action of the highest value; -1 if there is none.
  best(step, agent) {
    const values = this.values(step, agent);
    return values.indexOf(Math.max(...values.filter((value) => !Number.isNaN(value))));
  }

  // From where to where colours and bars of an agent's values go.
  range(step, agent) {
    const known = this.values(step, agent).filter((value) => !Number.isNaN(value));
    return this.perAgent ? { low: Math.min(...known), high: Math.max(...known) } : { low: this.replay.value_low, high: this.replay.value_high };
  }

  draw() {
    const { moment, replay } = this;
    for (const team of this.teams) this.drawTeam(team);
    const last = moment.played ? replay.reward[moment.played - 1] : NaN;
    this.scores[0].textContent = signed(last);
    this.scores[1].textContent = signed(replay.returns[moment.played]);
    this.rows.forEach((row, agent) => this.drawAgent(row, agent));
    this.detail.draw();
    const key = [moment.step, this.state.picked, this.state.pointed, this.heat.clientWidth, window.devicePixelRatio].join();
    if (key === this.drawn) return;
    this.drawn = key;
    if (replay.n_steps) this.drawHeat();
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
    bar.style.background = healthColour(part);
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
      ctx.fillStyle = action < 6 ? COLOURS.dim : COLOURS.enemy;
      if (action < 6 ? width >= 6.5 : (action - 6) % every === 0) ctx.fillText(label, (action + 0.5) * width, 10);
    });
    for (let agent = 0; agent < replay.n_agents; agent++) this.drawRow(ctx, step, agent, width);
  }

  drawRow(ctx, step, agent, width) {
    const { replay, row } = this, n = this.labels.length, top = 20 + agent * row, first = (step * replay.n_agents + agent) * n;
    const values = this.values(step, agent), { low, high } = this.range(step, agent), best = this.best(step, agent);
    const gap = width > 12 ? 1.5 : 0.5, chosen = replay.actions_of(step, agent);
    const dead = !this.moment.alive(agent) || replay.diesAt[agent] <= step * replay.step_mul;
    for (let action = 0; action < n; action++) {
      const left = action * width, value = values[action], part = high > low ? (value - low) / (high - low) : 0.5;
      const free = replay.avail[first + action] && !dead, back = !free ? COLOURS.cell_off : Number.isNaN(value) ? COLOURS.cell_plain : ramp(part);
      ctx.fillStyle = back;
      ctx.fillRect(left + gap / 2, top + 1, width - gap, row - 2);
      if (free && !Number.isNaN(value) && width >= 25) {
        ctx.fillStyle = ink(back);
        ctx.font = `${width < 31 ? 9 : 10.5}px system-ui, sans-serif`;
        ctx.fillText(value.toFixed(Math.abs(value) < 9.995 ? 2 : 1), left + width / 2, top + row / 2 + 0.5);
      }
    }
    if (dead) return;
    if (best >= 0 && best !== chosen) this.mark(ctx, best * width, top, width, `${COLOURS.pick}90`, 1);
    this.mark(ctx, chosen * width, top, width, COLOURS.pick, 2);
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

  // Reward of each env step; what has been played is bright.
  drawChart() {
    const { replay, chart, moment } = this, view = this.chartView;
    resize(chart, view);
    const ctx = chart.getContext("2d"), most = Math.max(1e-9, ...replay.reward.map(Math.abs));
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    ctx.clearRect(0, 0, view.width, view.height);
    const width = view.width / Math.max(replay.n_steps, 1), root = (reward) => Math.sqrt(Math.abs(reward) / most);
    const up = root(Math.max(0, ...replay.reward)), down = root(Math.min(0, ...replay.reward));
    const tall = (view.height - 3) / (up + down || 1), zero = 1 + up * tall;
    ctx.fillStyle = COLOURS.line;
    ctx.fillRect(0, zero, view.width, 1);
    replay.reward.forEach((reward, step) => {
      const height = root(reward) * tall;    // roots: the win bonus would flatten the rest
      ctx.fillStyle = step < moment.played ? COLOURS.accent : COLOURS.line;
      ctx.fillRect(step * width, reward >= 0 ? zero - height : zero, Math.max(width - 1, 0.7), height);
    });
  }
}
