package workload

// Item is a quantity of an article.
type Item struct {
	SKU      string
	Quantity int64
}

const (
	plenty    = 1_000_000 // a plan takes less than one piece of an article per five orders
	maxScarce = 3         // the largest stock of a scarce article
)

// Stock returns the stock before the first order of a seed. Most articles have enough pieces for a plan of millions
// of orders. A scarce article has a few pieces: every Shortage order wants more, and no other order wants any. Each
// article occurs once.
func Stock(seed uint64) []Item {
	r := random(seed, stockStream)
	var items []Item
	for _, a := range plentiful {
		items = append(items, Item{SKU: a.sku, Quantity: plenty + r.Int64N(plenty/10)})
	}
	for _, a := range scarce {
		items = append(items, Item{SKU: a.sku, Quantity: 1 + r.Int64N(maxScarce)})
	}
	return items
}

type article struct {
	sku   string
	price int64 // cents
}

// The catalogue is the same for every seed. New articles go to the end: the order decides the meaning of a seed.
var (
	plentiful = []article{
		{"APRON-LINEN", 24_90}, {"BASKET-WILLOW", 19_50}, {"BELL-BICYCLE", 12_80}, {"BLANKET-WOOL", 69_00},
		{"BOARD-OAK", 27_40}, {"BOTTLE-STEEL", 21_95}, {"BOWL-MIXING", 16_75}, {"BRUSH-DISH", 4_20},
		{"CANDLE-BEESWAX", 8_60}, {"CARAFE-GLASS", 23_30}, {"CHESS-TRAVEL", 34_00}, {"CLOCK-ALARM", 29_99},
		{"COASTER-CORK", 6_45}, {"CUP-ESPRESSO", 7_90}, {"CUSHION-FELT", 31_20}, {"DOORMAT-COIR", 18_85},
		{"GRINDER-PEPPER", 26_10}, {"HOOK-BRASS", 5_35}, {"JAR-STORAGE", 9_15}, {"JUG-ENAMEL", 22_70},
		{"KITE-DELTA", 17_65}, {"LADLE-BEECH", 6_90}, {"LAMP-DESK", 54_50}, {"MUG-STONEWARE", 11_40},
		{"NOTEBOOK-A5", 8_25}, {"PEN-FOUNTAIN", 38_00}, {"PENCIL-SET", 10_10}, {"PLANTER-CLAY", 14_95},
		{"PUZZLE-1000", 19_99}, {"RUG-COTTON", 45_60}, {"SCALE-KITCHEN", 32_80}, {"SOAP-OLIVE", 3_75},
		{"TEAPOT-IRON", 48_20}, {"TIN-BISCUIT", 9_80}, {"TOWEL-WAFFLE", 13_55}, {"TRAY-BIRCH", 20_40},
		{"UMBRELLA-CANE", 36_70}, {"VASE-CYLINDER", 15_85}, {"WATERING-CAN", 25_25}, {"YOYO-MAPLE", 7_05},
	}
	scarce = []article{{"CLOCK-LONGCASE", 349_00}, {"GLOBE-ANTIQUE", 189_00}, {"LAMP-LIGHTHOUSE", 129_50}, {"SLED-ASH", 84_00}}
)
