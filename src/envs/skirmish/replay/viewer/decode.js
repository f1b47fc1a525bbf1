// The replay: facts as in the JSON, and typed arrays [loop * units + unit] or [step * agents + agent].

const IDLE = 0, MOVE = 1, ATTACK = 2, HEAL = 3, ATTACK_MOVE = 4, HUNT = 5;
const SHOT = 0, MELEE = 1, MISSILE = 2, SWEEP = 3;

async function unpack({ type, width, delta, data }) {
  const types = { u1: Uint8Array, u2: Uint16Array, i2: Int16Array, f4: Float32Array };
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const array = new types[type](await new Response(inflated).arrayBuffer());
  if (delta) for (let i = width; i < array.length; i++) array[i] += array[i - width];
  return array;
}

async function decode(facts) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old for this page: it needs Chrome 111, Firefox 113 or Safari 16.4.");
  }
  const replay = { ...facts };
  await Promise.all(Object.entries(facts.arrays).map(async ([name, packed]) => { replay[name] = await unpack(packed); }));
  const units = replay.n_units = facts.unit_kinds.length;
  replay.kind = facts.unit_kinds.map((kind) => facts.kinds[kind]);
  replay.side = replay.kind.map((_, unit) => (unit < facts.n_agents ? "ally" : "enemy"));
  replay.shots = table(replay.shots, ["start", "hit", "from", "to", "style"]);
  replay.heals = table(replay.heals, ["first", "last", "from", "to"]);
  replay.deaths = table(replay.deaths, ["loop", "unit", "blast"]);
  // A weapon's whole cooldown is the longest that one of its type ever had.
  if (replay.cooldown) replay.period = longest(replay);
  replay.flight = Math.max(0, ...replay.shots.map((shot) => shot.hit - shot.start));
  replay.diesAt = new Float32Array(units).fill(Infinity);
  for (const { loop, unit } of replay.deaths) replay.diesAt[unit] = loop;
  replay.returns = running(replay.reward);
  replay.actions_of = (step, agent) => replay.chosen[step * facts.n_agents + agent];
  markHits(replay);
  sumTeams(replay);
  return replay;
}

function longest({ cooldown, kind, n_units: units, cooldown_scale: scale }) {
  const most = new Map(kind.map((one) => [one, 0]));
  cooldown.forEach((left, i) => { if (left > most.get(kind[i % units])) most.set(kind[i % units], left); });
  return kind.map((one) => most.get(one) / scale);
}

function table(numbers, columns) {
  const rows = [];
  for (let i = 0; i < numbers.length; i += columns.length) {
    rows.push(Object.fromEntries(columns.map((name, k) => [name, numbers[i + k]])));
  }
  return rows;
}

function running(numbers) {
  const sums = new Float64Array(numbers.length + 1);
  numbers.forEach((number, i) => { sums[i + 1] = sums[i] + number; });
  return sums;
}

// hurtAt: last loop up to this one in which the unit lost life or shield; hurtShield: the shield took it.
function markHits(replay) {
  const { health, shield, n_units: units } = replay;
  replay.hurtAt = new Int32Array(health.length).fill(-1000);
  replay.hurtShield = new Uint8Array(health.length);
  for (let i = units; i < health.length; i++) {
    const life = health[i] < health[i - units];
    const hit = life || shield[i] < shield[i - units];
    replay.hurtAt[i] = hit ? Math.floor(i / units) : replay.hurtAt[i - units];
    replay.hurtShield[i] = hit ? !life : replay.hurtShield[i - units];
  }
}

// held[side][loop]: part of its life and shields that a side still has.
function sumTeams(replay) {
  replay.held = { ally: new Float32Array(replay.n_loops + 1), enemy: new Float32Array(replay.n_loops + 1) };
  const most = { ally: 0, enemy: 0 };
  replay.kind.forEach((kind, unit) => { most[replay.side[unit]] += kind.health + kind.shield; });
  for (let loop = 0; loop <= replay.n_loops; loop++) {
    for (let unit = 0; unit < replay.n_units; unit++) {
      const i = loop * replay.n_units + unit;
      const points = (replay.health[i] + replay.shield[i]) / replay.point_scale;
      replay.held[replay.side[unit]][loop] += points / most[replay.side[unit]];
    }
  }
}

// Units at a time between two loops. Health and shields change at whole loops, places and directions in between.
class Moment {
  constructor(replay) {
    this.replay = replay;
    for (const name of ["x", "y", "facing", "health", "shield", "energy", "cooldown"]) this[name] = new Float32Array(replay.n_units);
  }

  set(time) {
    const { replay } = this, units = replay.n_units;
    this.time = time;
    this.loop = Math.min(Math.floor(time), replay.n_loops);
    this.step = Math.min(Math.floor(time / replay.step_mul), replay.n_steps - 1);
    this.played = Math.min(Math.floor(time / replay.step_mul + 1e-9), replay.n_steps);
    const part = time - this.loop, next = Math.min(this.loop + 1, replay.n_loops);
    for (let unit = 0; unit < units; unit++) {
      const a = this.loop * units + unit, b = next * units + unit;
      this.x[unit] = (replay.x[a] + (replay.x[b] - replay.x[a]) * part) / replay.place_scale;
      this.y[unit] = (replay.y[a] + (replay.y[b] - replay.y[a]) * part) / replay.place_scale;
      const turn = ((replay.facing[b] - replay.facing[a] + 384) % 256) - 128;
      this.facing[unit] = (replay.facing[a] + turn * part) * (Math.PI / 128);
      for (const name of ["health", "shield", "energy"]) this[name][unit] = replay[name][a] / replay.point_scale;
      if (replay.cooldown) this.cooldown[unit] = replay.cooldown[a] / replay.cooldown_scale;
    }
  }

  // Place of a unit at any time, for shots that were fired before.
  place(unit, time) {
    const { replay } = this, units = replay.n_units;
    const loop = Math.max(0, Math.min(Math.floor(time), replay.n_loops)), next = Math.min(loop + 1, replay.n_loops);
    const part = Math.max(0, Math.min(time - loop, 1)), a = loop * units + unit, b = next * units + unit;
    return {
      x: (replay.x[a] + (replay.x[b] - replay.x[a]) * part) / replay.place_scale,
      y: (replay.y[a] + (replay.y[b] - replay.y[a]) * part) / replay.place_scale,
    };
  }

  alive(unit) { return this.time < this.replay.diesAt[unit]; }
}

// What an agent's action is called; healers name agents, everybody else enemies.
function actionName(replay, agent, action) {
  if (action < 6) return replay.actions[action];
  return `${replay.kind[agent].heals ? "heal ally" : "attack"} ${action - 6}`;
}

function targetOf(replay, agent, action) {
  if (action < 6) return -1;
  const unit = action - 6 + (replay.kind[agent].heals ? 0 : replay.n_agents);
  return unit < replay.n_units ? unit : -1;
}

const ORDERS = ["idle", "move", "attack", "heal", "attack-move", "hunt"];

function orderName(replay, moment, unit) {
  const i = moment.loop * replay.n_units + unit, target = replay.target[i];
  return `${ORDERS[replay.order[i]]}${target >= 0 ? ` → ${unitName(replay, target)}` : ""}`;
}

function unitName(replay, unit) {
  const enemy = replay.side[unit] === "enemy";
  return `${replay.kind[unit].title} ${enemy ? unit - replay.n_agents : unit}`;
}
