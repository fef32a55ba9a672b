// @ts-check
// What it reads of a row, what it adds to it, and which rows it refuses.

import { float64, int64, plugin, refuse, text } from "./millrace/index.js";

export const transform = plugin({
  name: "my-plugin",
  version: "0.1.0",
  reads: [text("customer"), float64("price"), int64("count"), text("coupon").nullable()],
  adds: [float64("total"), text("greeting")],

  row({ customer, price, count, coupon }) {
    if (count < 1) throw refuse("bad_count", `${count} of something are no order`);
    const discount = coupon === "TENTH" ? 0.9 : 1;
    return { total: price * count * discount, greeting: `Dear ${customer}` };
  },
});
