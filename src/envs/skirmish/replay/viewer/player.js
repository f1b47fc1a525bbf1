// Time, buttons and keys. An address like page.html#loop=120&play=1&speed=2&orders=1&agent=3 opens the page so.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const KEYS = [
  ["Space", "play or pause"], ["← →", "one game loop"], ["Shift ← →", "one env step"], ["Home End", "start, end"],
  ["↑ ↓", "speed"], ["1 … 9", "pick an agent; Tab: the next one, Esc: none"], ["B", "bars"], ["O", "orders of all units"],
  ["I", "unit ids"], ["R", "ranges"], ["F", "whole map or battle (wheel zooms, drag moves)"],
  ["S", "colours of values per agent or over the episode"], ["?", "this list"],
];

function icon(path) { return `<svg viewBox="0 0 16 16"><path d="${path}"/></svg>`; }

class Player {
  constructor(replay) {
    this.replay = replay;
    replay.actions_of = ((chosen) => (step, agent) => chosen[step * replay.n_agents + agent])(replay.chosen);
    Object.assign(this, { time: 0, speed: 1, playing: false, picked: -1, pointed: -1 });
    this.flags = { bars: true, orders: false, ids: false, ranges: false };
    this.moment = new Moment(replay);
    this.arena = new Arena(replay, this.moment, this);
    this.panel = new Panel(replay, this.moment, this);
    this.timeline = new Timeline(replay, this.moment, this);
    this.log = new Log(replay, this.moment, this);
    this.head();
    this.buttons();
    this.readAddress();
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(document.getElementById("arena-box"));
    this.draw();
  }

  head() {
    const { replay } = this, result = document.getElementById("result");
    document.getElementById("map").textContent = replay.map;
    result.textContent = { truncated: "time limit" }[replay.result] || replay.result;
    result.classList.add(replay.result);
    const total = replay.returns[replay.n_steps].toFixed(2);
    document.getElementById("facts").textContent = `return ${total} · ${replay.n_steps} steps · `
      + `${(replay.n_loops / replay.loops_per_second).toFixed(1)} s · seed ${replay.seed}`;
  }

  buttons() {
    this.actions = {
      play: () => this.toggle(), first: () => this.seek(0), last: () => this.seek(this.replay.n_loops),
      "loop-back": () => this.hop(-1, 1), "loop-on": () => this.hop(1, 1),
      "step-back": () => this.hop(-1, this.replay.step_mul), "step-on": () => this.hop(1, this.replay.step_mul),
      fit: () => { this.arena.fit(this.arena.moved ? this.arena.whole : !this.arena.whole); this.redraw(); },
    };
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", this.actions[button.dataset.do]);
    for (const button of document.querySelectorAll("[data-flag]")) button.addEventListener("click", () => this.flip(button.dataset.flag));
    const speeds = document.getElementById("speeds");
    for (const speed of SPEEDS) element("button", "", speeds, `${speed}×`).addEventListener("click", () => this.setSpeed(speed));
    for (const id of ["show-help", "help"]) document.getElementById(id).addEventListener("click", () => this.help());
    // A focused button would take the space bar.
    document.addEventListener("click", (event) => { if (event.target.tagName === "BUTTON") event.target.blur(); });
    this.setSpeed(1);
    this.toggle(false);
  }

  readAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const flag of Object.keys(this.flags)) if (wanted.has(flag)) this.flags[flag] = wanted.get(flag) !== "0";
    if (wanted.has("loop")) this.time = Math.max(0, Math.min(Number(wanted.get("loop")) || 0, this.replay.n_loops));
    if (SPEEDS.includes(Number(wanted.get("speed")))) this.setSpeed(Number(wanted.get("speed")));
    if (wanted.has("agent")) this.picked = Math.min(Number(wanted.get("agent")) || 0, this.replay.n_agents - 1);
    this.arena.whole = wanted.has("map");
    if (wanted.has("play")) this.toggle();
  }

  toggle(playing = !this.playing) {
    if (playing && this.time >= this.replay.n_loops) this.time = 0;
    this.playing = playing;
    document.getElementById("play").innerHTML = icon(playing ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2l9 6-9 6z");
    this.before = null;
    this.redraw();
  }

  flip(flag) { this.flags[flag] = !this.flags[flag]; this.redraw(); }

  setSpeed(speed) {
    this.speed = speed;
    document.querySelectorAll("#speeds button").forEach((button, k) => button.classList.toggle("on", SPEEDS[k] === speed));
  }

  seek(time) { this.time = Math.max(0, Math.min(time, this.replay.n_loops)); this.before = null; this.redraw(); }

  // To the next whole multiple of `size` loops, forwards or backwards.
  hop(direction, size) {
    this.toggle(false);
    const places = this.time / size;
    this.seek((direction > 0 ? Math.floor(places + 1e-6) + 1 : Math.ceil(places - 1e-6) - 1) * size);
  }

  pick(unit) { this.picked = unit; this.redraw(); }

  help() {
    const help = document.getElementById("help");
    if (!help.firstChild) {
      const table = element("table", "", element("div", "", help));
      for (const [keys, meaning] of KEYS) {
        const row = element("tr", "", table);
        element("kbd", "", element("td", "", row), keys);
        element("td", "", row, meaning);
      }
    }
    help.hidden = !help.hidden;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const faster = (by) => this.setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.indexOf(this.speed) + by, SPEEDS.length - 1))]);
    const flags = { b: "bars", o: "orders", i: "ids", r: "ranges" };
    const next = (by) => this.pick((this.picked + by + this.replay.n_agents) % this.replay.n_agents);
    const keys = {
      " ": this.actions.play, arrowleft: this.actions[event.shiftKey ? "step-back" : "loop-back"],
      arrowright: this.actions[event.shiftKey ? "step-on" : "loop-on"], home: this.actions.first, end: this.actions.last,
      arrowup: () => faster(1), arrowdown: () => faster(-1), f: this.actions.fit, s: () => this.panel.toggleScale(),
      "?": () => this.help(), escape: () => (document.getElementById("help").hidden ? this.pick(-1) : this.help()),
      tab: () => next(event.shiftKey ? (this.picked < 0 ? 0 : -1) : 1),
    };
    const key = event.key.toLowerCase();
    if (key in flags) this.flip(flags[key]);
    else if (/^[0-9]$/.test(key) && Number(key) < this.replay.n_agents) this.pick(Number(key));
    else if (key in keys) keys[key]();
    else return;
    event.preventDefault();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.waiting = false;
    if (this.playing && this.before != null) {
      const passed = Math.min(now - this.before, 100) / 1000;    // a hidden tab must not skip the battle
      this.time = Math.min(this.time + passed * this.speed * this.replay.loops_per_second, this.replay.n_loops);
      if (this.time >= this.replay.n_loops) this.toggle(false);
    }
    this.before = now;
    this.draw();
    if (this.playing) this.redraw();
  }

  draw() {
    this.moment.set(this.time);
    this.arena.draw();
    this.timeline.draw();
    this.panel.draw();
    this.log.draw();
    for (const button of document.querySelectorAll("[data-flag]")) button.classList.toggle("on", this.flags[button.dataset.flag]);
    document.body.dataset.loop = this.moment.loop;
  }
}

decode(JSON.parse(document.getElementById("replay").textContent)).then((replay) => {
  new Player(replay);
  document.body.dataset.state = "ready";
}).catch((error) => {
  const box = document.getElementById("error");
  element("div", "", box, `This replay cannot be shown: ${error.message}`);
  box.hidden = false;
  document.body.dataset.state = "failed";
  console.error(error);
});
