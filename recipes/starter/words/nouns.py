"""Nouns: what kind of thing each is, irregular plurals, colours, young, sounds, uses, parts of the body."""

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
word phrase colour
lemon a_lemon yellow
banana a_banana yellow
carrot a_carrot orange
pumpkin a_pumpkin orange
cherry a_cherry red
blood blood red
grass grass green
pea a_pea green
leaf a_leaf green
frog a_frog green
snow snow white
milk milk white
salt salt white
sugar sugar white
coal coal black
ink ink black
night the_night black
crow a_crow black
sky the_sky blue
sea the_sea blue
violet a_violet purple
plum a_plum purple
chocolate chocolate brown
bear a_bear brown
earth the_earth brown
wood wood brown
pig a_pig pink
flamingo a_flamingo pink
elephant an_elephant grey
ash ash grey
lead lead grey
gold gold golden
""")
"""Things with one well-known colour."""

ANIMALS = read_table("""
word young sound
dog puppy barks
cat kitten meows
cow calf moos
sheep lamb bleats
goat kid bleats
horse foal neighs
pig piglet grunts
hen chick clucks
duck duckling quacks
goose gosling honks
lion cub roars
bear cub growls
wolf pup howls
fox cub barks
frog tadpole croaks
owl owlet hoots
deer fawn bellows
mouse pup squeaks
rabbit bunny squeaks
bee larva buzzes
bird chick sings
elephant calf trumpets
monkey infant chatters
tiger cub roars
camel calf grunts
seal pup barks
whale calf sings
donkey foal brays
crow chick caws
eagle eaglet screams
""")
"""Animals: the word for a young one, and what the grown one does to be heard."""

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
