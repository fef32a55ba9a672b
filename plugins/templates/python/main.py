"""What it reads of a row, what it adds to it, and which rows it refuses."""

from millrace import Plugin, Refuse, export, float64, int64, text


class Orders(Plugin):
    name = "my-plugin"
    version = "0.1.0"
    reads = [text("customer"), float64("price"), int64("count"), text("coupon").nullable()]
    adds = [float64("total"), text("greeting")]

    def row(self, customer, price, count, coupon):
        if count < 1:
            raise Refuse("bad_count", f"{count} of something are no order")
        discount = 0.9 if coupon == "TENTH" else 1.0
        return price * count * discount, f"Dear {customer}"


Transform = export(Orders)
