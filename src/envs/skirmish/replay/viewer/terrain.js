// The ground: free cells by height, cliffs that only climbers cross, walls. Drawn once per view and then reused.

function hatch(ctx, back, front, size) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.fillStyle = back;
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = front;
  pen.lineWidth = size / 7;
  pen.lineCap = "square";
  for (const shift of [-size, 0, size]) {
    pen.beginPath();
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
    pen.stroke();
  }
  return ctx.createPattern(tile, "repeat");
}

class Terrain {
  constructor(replay) {
    this.replay = replay;
    this.layer = document.createElement("canvas");
    this.levels = replay.levels.map((row) => row.match(/../g).map((hex) => parseInt(hex, 16)));
    const free = [];
    this.each((x, y, ground) => { if (ground === ".") free.push(this.level(x, y)); });
    this.low = Math.min(...free);
    this.span = Math.max(...free) - this.low;
  }

  at(x, y) {
    const row = this.replay.ground[this.replay.height - 1 - y];
    return row === undefined || row[x] === undefined ? "#" : row[x];
  }

  level(x, y) { return this.levels[this.replay.height - 1 - y][x]; }

  each(visit) {
    for (let y = 0; y < this.replay.height; y++) for (let x = 0; x < this.replay.width; x++) visit(x, y, this.at(x, y));
  }

  colour(x, y) {
    const part = this.span ? (this.level(x, y) - this.low) / this.span : 0.4;
    const base = mix(COLOURS.ground_low, COLOURS.ground_high, Math.max(0, Math.min(1, part)));
    return (x + y) % 2 ? base : mix(base, COLOURS.ground_line, 0.014);
  }

  // Draw into ctx; the view says where cells lie on the canvas.
  draw(ctx, view) {
    const key = [view.left, view.top, view.scale, view.width, view.height, COLOURS.scheme].join();
    if (key !== this.key) this.render(view);
    this.key = key;
    ctx.drawImage(this.layer, 0, 0, view.width, view.height);
  }

  render(view) {
    this.layer.width = view.width * view.ratio;
    this.layer.height = view.height * view.ratio;
    const ctx = this.layer.getContext("2d");
    ctx.scale(view.ratio, view.ratio);
    ctx.fillStyle = COLOURS.void;
    ctx.fillRect(0, 0, view.width, view.height);
    const wall = hatch(ctx, COLOURS.wall, COLOURS.wall_hatch, 12), cliff = hatch(ctx, COLOURS.cliff, COLOURS.cliff_hatch, 9);
    this.each((x, y, ground) => {
      // Whole pixels, else gaps show between the cells.
      const left = Math.round(view.x(x)), top = Math.round(view.y(y + 1));
      ctx.fillStyle = ground === "#" ? wall : ground === "^" ? cliff : this.colour(x, y);
      ctx.fillRect(left, top, Math.round(view.x(x + 1)) - left, Math.round(view.y(y)) - top);
    });
    this.grid(ctx, view);
    this.edges(ctx, view);
    this.rulers(ctx, view);
  }

  grid(ctx, view) {
    ctx.lineWidth = 1;
    ctx.strokeStyle = `${COLOURS.ground_line}09`;
    ctx.beginPath();
    this.each((x, y, ground) => {
      if (ground !== "." || x % 4 || y % 4) return;
      const side = 4 * view.scale;
      ctx.rect(Math.round(view.x(x)) + 0.5, Math.round(view.y(y)) + 0.5 - Math.round(side), Math.round(side), Math.round(side));
    });
    ctx.stroke();
  }

  // Lines where the ground changes: bright around walls and cliffs, faint between two heights.
  edges(ctx, view) {
    const walls = new Path2D(), steps = new Path2D();
    const line = (path, x0, y0, x1, y1) => { path.moveTo(view.x(x0), view.y(y0)); path.lineTo(view.x(x1), view.y(y1)); };
    this.each((x, y, ground) => {
      for (const [dx, dy] of [[1, 0], [0, 1]]) {
        const other = this.at(x + dx, y + dy), inside = x + dx < this.replay.width && y + dy < this.replay.height;
        const ends = dx ? [x + 1, y, x + 1, y + 1] : [x, y + 1, x + 1, y + 1];
        if (other !== ground) line(walls, ...ends);
        else if (ground === "." && inside && this.level(x, y) !== this.level(x + dx, y + dy)) line(steps, ...ends);
      }
      if (x === 0 && ground !== "#") line(walls, 0, y, 0, y + 1);
      if (y === 0 && ground !== "#") line(walls, x, 0, x + 1, 0);
    });
    ctx.lineCap = "round";
    ctx.strokeStyle = `${COLOURS.ground_line}26`;
    ctx.lineWidth = 1;
    ctx.stroke(steps);
    ctx.strokeStyle = COLOURS.wall_edge;
    ctx.lineWidth = 2;
    ctx.shadowColor = "#000";
    ctx.shadowBlur = COLOURS.scheme === "dark" ? 8 : 0;
    ctx.stroke(walls);
    ctx.shadowBlur = 0;
  }

  // Coordinates along the lower and the right edge of the view.
  rulers(ctx, view) {
    ctx.fillStyle = COLOURS.faint;
    ctx.font = "10px system-ui, sans-serif";
    const every = view.scale > 14 ? 2 : 4;
    ctx.textBaseline = "alphabetic";
    ctx.textAlign = "center";
    for (let x = 0; x <= this.replay.width; x += every) {
      if (view.x(x) > 8 && view.x(x) < view.width - 26) ctx.fillText(x, view.x(x), view.height - 5);
    }
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (let y = 0; y <= this.replay.height; y += every) {
      if (view.y(y) > 12 && view.y(y) < view.height - 14) ctx.fillText(y, view.width - 5, view.y(y));
    }
  }
}
