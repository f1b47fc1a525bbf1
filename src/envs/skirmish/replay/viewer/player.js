// Time, buttons and keys; which battle is shown, and its address.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const KEYS = [
  ["Space", "play or pause"], ["← →", "one env step"], [", .", "one game loop; also Shift ← →"], ["Home End", "start, end"],
  ["1 … 9", "speed; 1 is 16 game loops per second"], ["↑ ↓", "faster, slower"], ["A", "the next agent; Shift A: the one before, Esc: none"],
  ["N P", "next battle, previous battle, where there are several"], ["B", "bars and cooldowns"], ["O", "orders of all units"], ["I", "unit ids"],
  ["R", "ranges"], ["F", "whole map or battle (wheel zooms, drag moves)"], ["S", "values against the agent's others, or the episode's"],
  ["D", "light or dark"], ["C", "copy the link to this moment"], ["?", "this list"],
];

class Player {
  constructor({ battles, palettes }) {
    Object.assign(this, { battles, time: 0, speed: 1, playing: false, picked: 0, pointed: -1, battle: -1 });
    this.flags = { bars: true, orders: false, ids: false, ranges: false };
    this.arena = new Arena(this);
    this.panel = new Panel(this);
    this.timeline = new Timeline(this);
    this.log = new Log(this);
    this.theme = new Theme(palettes, () => this.recoloured());
    this.list = new Battles(battles, (number) => this.show(number));
    this.buttons();
  }

  async begin() {
    const wanted = readAddress();
    if (wanted.theme) this.theme.set(wanted.theme);
    await this.show((wanted.battle ?? 1) - 1);
    this.follow(wanted);
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.redraw());
    window.addEventListener("hashchange", () => this.goTo(readAddress()));
    new ResizeObserver(() => this.redraw()).observe(document.getElementById("arena-box"));
    this.draw();
  }

  // Shows a battle from its start.
  async show(number) {
    const wanted = Math.max(0, Math.min(Math.round(number), this.battles.length - 1));
    if (wanted === this.battle) return;
    const replay = await decode(this.battles[wanted]);
    this.battle = wanted;
    Object.assign(this, { replay, moment: new Moment(replay), time: 0, pointed: -1 });
    if (this.picked >= replay.n_units) this.picked = 0;
    for (const part of [this.arena, this.panel, this.timeline, this.log]) part.show(replay, this.moment);
    this.list.mark(wanted);
    this.head();
    this.toggle(false);
    this.note();
  }

  head() {
    const { replay } = this, result = document.getElementById("result");
    document.getElementById("map").textContent = replay.map;
    result.textContent = resultName(replay.result);
    result.className = `badge ${replay.result}`;
    document.getElementById("facts").textContent = `return ${replay.return.toFixed(2)} · ${replay.n_steps} steps · `
      + `${(replay.n_loops / replay.loops_per_second).toFixed(1)} s · seed ${replay.seed}`;
  }

  buttons() {
    this.actions = {
      play: () => this.toggle(), first: () => this.seek(0), last: () => this.seek(this.replay.n_loops),
      "loop-back": () => this.hop(-1, 1), "loop-on": () => this.hop(1, 1),
      "step-back": () => this.hop(-1, this.replay.step_mul), "step-on": () => this.hop(1, this.replay.step_mul),
      fit: () => { this.arena.fit(this.arena.moved ? this.arena.whole : !this.arena.whole); this.redraw(); },
      theme: () => this.theme.toggle(), help: () => this.help(),
      copy: () => { this.note(); copyAddress((text, milliseconds) => this.say(text, milliseconds)); },
    };
    document.getElementById("copy").hidden = !hasAddress();
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", this.actions[button.dataset.do]);
    for (const button of document.querySelectorAll("[data-flag]")) button.addEventListener("click", () => this.flip(button.dataset.flag));
    const speeds = document.getElementById("speeds");
    for (const speed of SPEEDS) element("button", "", speeds, `${speed}×`).addEventListener("click", () => this.setSpeed(speed));
    document.getElementById("help").addEventListener("click", () => this.help());
    this.setSpeed(1);
  }

  follow({ time, agent, speed, play, map, flags }) {
    Object.assign(this.flags, flags);
    if (speed > 0) this.setSpeed(Math.min(speed, 100));
    if (agent !== null) this.picked = Math.max(-1, Math.min(Math.round(agent), this.replay.n_units - 1));
    if (map) this.arena.whole = true;
    if (time !== null) this.seek(Math.round(time * this.replay.step_mul));
    if (play) this.toggle(true);
  }

  // Somebody has changed the address by hand, or followed a link within the page.
  async goTo(wanted) {
    if (wanted.battle !== null) await this.show(wanted.battle - 1);
    this.follow(wanted);
    this.redraw();
  }

  // While a battle plays, its address waits.
  note() { if (!this.playing && this.replay) writeAddress(addressOf(this)); }

  toggle(playing = !this.playing) {
    if (playing && this.time >= this.replay.n_loops) this.time = 0;
    this.playing = playing;
    document.getElementById("play").innerHTML = icon(playing ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2l9 6-9 6z");
    this.before = null;
    this.changed();
  }

  // Something that the address tells.
  changed() { this.note(); this.redraw(); }

  flip(flag) { this.flags[flag] = !this.flags[flag]; this.changed(); }

  setSpeed(speed) {
    this.speed = speed;
    [...document.getElementById("speeds").children].forEach((button, k) => button.classList.toggle("on", SPEEDS[k] === speed));
    this.redraw();
  }

  seek(time) { this.time = Math.max(0, Math.min(time, this.replay.n_loops)); this.before = null; this.changed(); }

  // To the next whole multiple of `size` loops, forwards or backwards.
  hop(direction, size) {
    this.toggle(false);
    const places = this.time / size;
    this.seek((direction > 0 ? Math.floor(places + 1e-6) + 1 : Math.ceil(places - 1e-6) - 1) * size);
  }

  pick(unit) { this.picked = unit; this.changed(); }

  say(text, milliseconds = 1800) {
    const said = document.getElementById("said");
    said.textContent = text;
    said.hidden = false;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { said.hidden = true; }, milliseconds);
  }

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
    // Tab goes from button to button, and space and Enter press the one that it is on.
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === "BUTTON" && event.target.matches(":focus-visible") && [" ", "Enter"].includes(event.key)) return;
    const { actions, replay } = this, back = event.shiftKey;
    const faster = (by) => this.setSpeed((by > 0 ? SPEEDS.find((one) => one > this.speed) : SPEEDS.findLast((one) => one < this.speed)) ?? this.speed);
    const flags = { b: "bars", o: "orders", i: "ids", r: "ranges" };
    const keys = {
      " ": actions.play, home: actions.first, end: actions.last, ",": actions["loop-back"], ".": actions["loop-on"],
      arrowleft: actions[back ? "loop-back" : "step-back"], arrowright: actions[back ? "loop-on" : "step-on"],
      arrowup: () => faster(1), arrowdown: () => faster(-1), f: actions.fit, s: () => this.panel.toggleScale(), d: actions.theme, c: actions.copy,
      "?": actions.help, escape: () => (document.getElementById("help").hidden ? this.pick(-1) : this.help()),
      a: () => this.pick(this.picked < 0 ? (back ? replay.n_agents - 1 : 0) : (this.picked + (back ? -1 : 1) + replay.n_agents) % replay.n_agents),
      n: () => this.show(this.battle + 1), p: () => this.show(this.battle - 1),
    };
    const key = event.key.toLowerCase();
    if (key in flags) this.flip(flags[key]);
    else if (/^[1-9]$/.test(key)) this.setSpeed(Number(key));
    else if (key in keys) keys[key]();
    else return;
    event.preventDefault();
  }

  recoloured() {
    if (!this.replay) return;
    this.panel.redone();
    this.timeline.redone();
    this.redraw();
  }

  redraw() {
    if (this.waiting || !this.replay) return;
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
    for (const button of document.querySelectorAll("[data-flag]")) {
      button.classList.toggle("on", this.flags[button.dataset.flag]);
      button.setAttribute("aria-pressed", this.flags[button.dataset.flag]);
    }
    Object.assign(document.body.dataset, { loop: this.moment.loop, battle: this.battle + 1 });
  }
}

// In its own function: a battle that cannot be decoded is an error like any other.
async function start() {
  const player = new Player(JSON.parse(document.getElementById("replay").textContent));
  await player.begin();
  document.body.dataset.state = "ready";
}

start().catch((error) => {
  const box = document.getElementById("error");
  element("div", "", box, `This replay cannot be shown: ${error.message}`);
  box.hidden = false;
  document.body.dataset.state = "failed";
  console.error(error);
});
