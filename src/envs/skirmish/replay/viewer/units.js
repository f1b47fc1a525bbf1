// Units: a disc of the unit's radius in the colour of its side, a nose where it looks, a letter for its type, bars.

const FADE = 14;    // loops in which the dead vanish
const FLASH = 3;    // loops that a hit lights a unit up

class Units {
  constructor(replay, moment) {
    this.replay = replay;
    this.moment = moment;
    // Those in the air over those on the ground; big ones first, so that nobody is hidden.
    this.order = replay.kind.map((_, unit) => unit)
      .sort((a, b) => replay.kind[a].layer - replay.kind[b].layer || replay.kind[b].radius - replay.kind[a].radius);
  }

  draw(ctx, view, { flags, picked, hovered }) {
    this.graves(ctx, view);
    if (flags.ranges) this.each((unit) => this.range(ctx, view, unit));
    if (picked >= 0 && this.moment.alive(picked)) this.range(ctx, view, picked, true);
    for (const unit of this.order) this.body(ctx, view, unit, unit === picked, unit === hovered);
    if (flags.bars) this.each((unit) => { this.weapon(ctx, view, unit); this.bars(ctx, view, unit); });
    if (flags.ids) this.each((unit) => this.id(ctx, view, unit));
  }

  each(visit) { for (const unit of this.order) if (this.moment.alive(unit)) visit(unit); }

  radius(view, unit) { return Math.max(this.replay.kind[unit].radius * view.scale, 3); }

  // A small cross stays where somebody died.
  graves(ctx, view) {
    ctx.lineWidth = 1.5;
    for (const { loop, unit } of this.replay.deaths) {
      if (loop > this.moment.time) break;
      const x = view.x(this.moment.x[unit]), y = view.y(this.moment.y[unit]), r = Math.min(0.22 * view.scale, 6);
      ctx.strokeStyle = COLOURS[this.replay.side[unit]] + "66";
      ctx.beginPath();
      ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r);
      ctx.stroke();
    }
  }

  body(ctx, view, unit, picked, hovered) {
    const { replay, moment } = this, since = moment.time - replay.diesAt[unit];
    if (since > FADE) return;
    const kind = replay.kind[unit], colour = COLOURS[replay.side[unit]];
    const x = view.x(moment.x[unit]), y = view.y(moment.y[unit]), r = this.radius(view, unit);
    ctx.save();
    ctx.globalAlpha = (kind.layer ? 0.86 : 1) * (since >= 0 ? (1 - since / FADE) ** 2 * 0.8 : 1);
    this.shadow(ctx, x, y, r, kind.layer);
    this.nose(ctx, x, y, r, moment.facing[unit], colour);
    const shade = ctx.createRadialGradient(x - r * 0.3, y - r * 0.4, r * 0.1, x, y, r);
    shade.addColorStop(0, mix(colour, "#ffffff", 0.1));
    shade.addColorStop(1, mix(colour, "#05070b", COLOURS.scheme === "dark" ? 0.62 : 0.3));
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 7);
    ctx.fillStyle = shade;
    ctx.fill();
    this.flash(ctx, unit, since);
    ctx.lineWidth = Math.max(1.5, r * 0.1);
    ctx.strokeStyle = picked ? COLOURS.pick : colour;
    ctx.stroke();
    if (picked || hovered) this.ring(ctx, x, y, r + 5, picked ? COLOURS.pick : `${COLOURS.pick}90`);
    ctx.fillStyle = COLOURS.glyph;
    ctx.font = `700 ${Math.max(8, Math.min(r * 1.15, 30))}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    if (r > 4) ctx.fillText(kind.glyph, x, y + r * 0.07);
    ctx.restore();
  }

  shadow(ctx, x, y, r, layer) {
    const drop = layer === 2 ? r * 0.55 : r * 0.12;
    ctx.fillStyle = layer === 2 ? "#00000055" : "#00000080";
    ctx.beginPath();
    ctx.ellipse(x + drop * 0.6, y + drop, r * 1.06, r * 1.06, 0, 0, 7);
    ctx.fill();
  }

  nose(ctx, x, y, r, angle, colour) {
    const at = (turn, distance) => [x + Math.cos(angle + turn) * distance, y - Math.sin(angle + turn) * distance];
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.moveTo(...at(0, r * 1.38));
    ctx.lineTo(...at(0.5, r * 0.97));
    ctx.lineTo(...at(-0.5, r * 0.97));
    ctx.fill();
  }

  flash(ctx, unit, since) {
    const i = this.moment.loop * this.replay.n_units + unit;
    const age = since >= 0 ? since : this.moment.time - this.replay.hurtAt[i];
    if (age >= FLASH) return;
    const alpha = Math.round((1 - age / FLASH) * 96).toString(16).padStart(2, "0");
    ctx.fillStyle = (this.replay.hurtShield[i] ? COLOURS.shield : "#ffffff") + alpha;
    ctx.fill();
  }

  ring(ctx, x, y, r, colour) {
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = colour;
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 7);
    ctx.stroke();
  }

  range(ctx, view, unit, strong = false) {
    const { replay, moment } = this, kind = replay.kind[unit];
    ctx.fillStyle = `${kind.heals ? COLOURS.heal : COLOURS[replay.side[unit]]}08`;
    ctx.strokeStyle = (kind.heals ? COLOURS.heal : COLOURS[replay.side[unit]]) + (strong ? "88" : "30");
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.arc(view.x(moment.x[unit]), view.y(moment.y[unit]), (kind.radius + kind.reach) * view.scale, 0, 7);
    if (strong) ctx.fill();
    ctx.stroke();
  }

  // An arc around the disc: what is left of the weapon's cooldown. None: it is ready.
  weapon(ctx, view, unit) {
    const { replay, moment } = this, left = replay.cooldown ? moment.cooldown[unit] / replay.period[unit] : 0;
    if (!(left > 0)) return;
    ctx.lineWidth = Math.max(1.5, Math.min(view.scale * 0.06, 3));
    ctx.strokeStyle = `${COLOURS.weapon}d0`;
    ctx.beginPath();
    ctx.arc(view.x(moment.x[unit]), view.y(moment.y[unit]), this.radius(view, unit) + 2, -Math.PI / 2, Math.PI * (2 * Math.min(left, 1) - 0.5));
    ctx.stroke();
  }

  bars(ctx, view, unit) {
    const { replay, moment } = this, kind = replay.kind[unit], r = this.radius(view, unit);
    const width = Math.max(16, r * 1.7), thick = Math.max(3, Math.min(view.scale * 0.11, 6));
    const left = view.x(moment.x[unit]) - width / 2;
    const life = moment.health[unit] / kind.health;
    const rows = [[life, healthColour(life)]];
    if (kind.shield > 0) rows.unshift([moment.shield[unit] / kind.shield, COLOURS.shield]);
    if (kind.energy > 0) rows.push([moment.energy[unit] / kind.energy, COLOURS.energy]);
    let top = view.y(moment.y[unit]) - r - 1 - rows.length * (thick + 1);
    ctx.fillStyle = COLOURS.bar_back + "d0";
    ctx.fillRect(left - 1, top - 1, width + 2, rows.length * (thick + 1) + 1);
    for (const [part, colour] of rows) {
      ctx.fillStyle = colour;
      ctx.fillRect(left, top, width * Math.max(0, Math.min(part, 1)), thick);
      top += thick + 1;
    }
  }

  id(ctx, view, unit) {
    const { replay, moment } = this, enemy = replay.side[unit] === "enemy", r = this.radius(view, unit);
    const text = String(enemy ? unit - replay.n_agents : unit), x = view.x(moment.x[unit]), y = view.y(moment.y[unit]) + r;
    ctx.font = "600 11px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    ctx.lineWidth = 3;
    ctx.strokeStyle = `${COLOURS.card}d0`;
    ctx.strokeText(text, x, y + 1);
    ctx.fillStyle = mix(COLOURS[replay.side[unit]], COLOURS.glow, 0.35);
    ctx.fillText(text, x, y + 1);
  }
}
