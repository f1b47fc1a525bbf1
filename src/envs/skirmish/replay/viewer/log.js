// The list of deaths: who died when, and by whom.

class Log {
  constructor(state) {
    this.state = state;
    this.box = document.getElementById("log-lines");
  }

  show(replay, moment) {
    Object.assign(this, { replay, moment, shown: -1 });
    this.box.textContent = "";
    this.lines = replay.deaths.map((death) => this.line(death));
    if (!this.lines.length) element("div", "loss", this.box, "none");
  }

  line({ loop, unit }) {
    const { replay, state } = this, line = element("div", "loss", this.box), killer = this.killer(loop, unit);
    element("time", "", line, `step ${Math.ceil(loop / replay.step_mul)}`);
    const text = element("span", "", line);
    element("span", replay.side[unit], text, unitName(replay, unit));
    if (killer >= 0) {
      text.append(killer === unit ? " exploded" : " killed by ");
      if (killer !== unit) element("span", replay.side[killer], text, unitName(replay, killer));
    }
    line.addEventListener("click", () => state.seek(loop - 2));
    return line;
  }

  // Whose shot landed in this loop, else who exploded or swept its beam then; -1 if nobody is known.
  killer(loop, unit) {
    const { shots, deaths, side } = this.replay;
    const shot = shots.find((one) => one.to === unit && Math.abs(one.hit - loop) <= 1);
    if (shot) return shot.from;
    const blast = deaths.find((one) => one.blast && side[one.unit] !== side[unit] && Math.abs(one.loop - loop) <= 1);
    if (blast) return blast.unit;
    const beam = shots.find((one) => one.style === SWEEP && side[one.from] !== side[unit] && one.start <= loop && loop <= one.hit + 6);
    if (beam) return beam.from;
    return deaths.some((one) => one.blast && one.unit === unit) ? unit : -1;
  }

  draw() {
    const past = this.replay.deaths.filter(({ loop }) => loop <= this.moment.time).length;
    if (past === this.shown) return;
    this.shown = past;
    this.lines.forEach((line, k) => line.classList.toggle("ahead", k >= past));
    const last = this.lines[Math.max(past - 1, 0)];
    if (last) this.box.scrollTop = last.offsetTop - this.box.offsetTop - this.box.clientHeight / 2;
  }
}
