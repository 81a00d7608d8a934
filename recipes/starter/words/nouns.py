"""Nouns: what kind of thing each is, irregular plurals, colours, homes, young, sounds, uses, parts of the body."""

from recipes.starter.words.table import read_groups, read_table

KINDS = read_groups("""
animal: dog cat horse cow sheep goose mouse fox wolf bear camel lion goat duck frog pig deer rabbit owl hen
fruit: apple pear peach cherry lemon banana orange grape plum melon
vegetable: carrot onion potato cabbage bean leek pea pumpkin
flower: rose tulip daisy lily violet orchid
tree: oak pine birch willow maple elm
tool: hammer saw drill axe rake shovel brush knife
piece of furniture: chair table bed desk shelf sofa bench
piece of clothing: shirt coat hat glove shoe sock scarf dress
vehicle: car bus train truck bike tram boat plane
musical instrument: piano violin drum flute guitar harp trumpet
metal: gold silver iron copper tin
drink: tea coffee milk juice water
building: house church school castle barn tower
part of the body: hand foot tooth ear nose knee arm
""")
"""Kind -> its nouns, all in the singular."""

IRREGULAR_PLURALS = {
    "sheep": "sheep",
    "goose": "geese",
    "mouse": "mice",
    "wolf": "wolves",
    "deer": "deer",
    "knife": "knives",
    "shelf": "shelves",
    "foot": "feet",
    "tooth": "teeth",
    "potato": "potatoes",
    "child": "children",
    "woman": "women",
    "man": "men",
    "ox": "oxen",
    "leaf": "leaves",
    "loaf": "loaves",
    "wife": "wives",
    "thief": "thieves",
    "hero": "heroes",
}
"""Plurals that the rules of spelling do not give."""

UNCOUNTED = frozenset(["gold", "silver", "iron", "copper", "tin", "tea", "coffee", "milk", "juice", "water"])
"""Nouns without an article or a plural."""

MORE_NOUNS = (
    *("child", "woman", "man", "ox", "leaf", "loaf", "wife", "thief", "hero", "box", "city", "baby", "lady", "story"),
    *("party", "watch", "glass", "key", "door", "book", "letter", "window", "river", "garden", "ball", "cup"),
)
"""Nouns outside the kinds, for spelling, plurals and sentences."""

COLOURS = read_table("""
word colour
lemon yellow
banana yellow
carrot orange
pumpkin orange
cherry red
blood red
grass green
pea green
leaf green
frog green
snow white
milk white
salt white
sugar white
coal black
ink black
night black
crow black
sky blue
sea blue
violet purple
plum purple
chocolate brown
bear brown
earth brown
wood brown
pig pink
flamingo pink
elephant grey
ash grey
lead grey
gold golden
""")
"""Things with one well-known colour."""

ANIMALS = read_table("""
word young sound home
dog puppy barks kennel
cat kitten meows house
cow calf moos barn
sheep lamb bleats fold
goat kid bleats barn
horse foal neighs stable
pig piglet grunts sty
hen chick clucks coop
duck duckling quacks pond
goose gosling honks pond
lion cub roars savanna
bear cub growls cave
wolf pup howls forest
fox cub barks den
frog tadpole croaks pond
owl owlet hoots tree
deer fawn bellows forest
mouse pup squeaks hole
rabbit bunny squeaks burrow
bee larva buzzes hive
bird chick sings nest
elephant calf trumpets savanna
monkey infant chatters jungle
tiger cub roars jungle
camel calf grunts desert
seal pup barks coast
whale calf sings ocean
donkey foal brays stable
crow chick caws nest
eagle eaglet screams nest
""")
"""Animals: the word for a young one, what the grown one does to be heard, where it lives."""

USES = read_table("""
word use
hammer hitting_nails
saw cutting_wood
drill making_holes
axe chopping_wood
rake gathering_leaves
shovel digging_holes
knife cutting_bread
brush painting_walls
pen writing_letters
needle sewing_clothes
oven baking_bread
kettle boiling_water
broom sweeping_floors
key opening_doors
clock telling_time
camera taking_photos
umbrella keeping_dry
lamp giving_light
fridge keeping_food_cold
towel drying_hands
pillow resting_the_head
scissors cutting_paper
ladder climbing_walls
map finding_the_way
soap washing_hands
spoon eating_soup
phone calling_friends
ruler measuring_lines
net catching_fish
bucket carrying_water
mirror seeing_yourself
comb combing_hair
iron pressing_shirts
telescope looking_at_stars
""")
"""Things and what they are used for."""

SENSES = read_table("""
word does
eyes see
ears hear
nose smell
tongue taste
lungs breathe
legs walk
hands hold
teeth chew
brain think
heart pump_blood
stomach digest_food
skin feel
""")
"""Parts of the body and what we do with them."""
