"""Names that geospatial data is labelled with, by theme, and sentences to put them in.

A name is what a user may write as a label, in lower case. `PARAPHRASES` never enters a training: it holds other words
for some of the names and measures whether the language space finds the name again.
"""

from __future__ import annotations


def _names(words: str) -> tuple[str, ...]:
    """Names from a comma-separated line."""
    return tuple(" ".join(name.split()) for name in words.split(",") if name.strip())


NAMES: dict[str, tuple[str, ...]] = {
    "scene": _names(
        """airport, airplane, airstrip, apron, bare land, baseball field, basketball court, beach, bridge, building,
        cemetery, center, chaparral, church, circular farmland, cloud, coastline, commercial, commercial area,
        construction site, container port, crossroads, dam, dense residential, dense residential area, desert, dock,
        factory, farmland, ferry terminal, football field, forest, freeway, fuel station, golf course, grassland,
        greenhouse, ground track field, harbor, harbour, helipad, highway, hospital, industrial, industrial area,
        interchange, intersection, island, lake, lighthouse, marina, market, meadow, medium residential,
        medium residential area, military base, mine, mobile home park, mosque, mountain, nuclear power plant,
        oil field, orchard, overpass, palace, park, parking, parking lot, playground, pond, port, power plant,
        prison, quarry, racetrack, railway, railway station, rectangular farmland, refinery, reservoir, resort,
        residential area, river, roundabout, runway, sandbar, school, scrubland, sea ice, ship, shipyard, shopping mall,
        slum, informal settlement, snow mountain, snowberg, solar farm, sparse residential, sparse residential area,
        square, stadium, storage tanks, substation, swamp, swimming pool, tennis court, terrace, thermal power station,
        toll booth, town square, train yard, university, vacant lot, viaduct, village, vineyard, volcano,
        wastewater treatment plant, water tower, waterfall, wetland, wind farm, wind turbine, zoo"""
    ),
    "land cover": _names(
        """annual crop, permanent crop, pasture, herbaceous vegetation, broadleaf forest, coniferous forest,
        mixed forest, deciduous forest, evergreen forest, mangrove, rainforest, savanna, shrubland, tundra, moss,
        lichen, bare soil, bare rock, sand, gravel, snow, ice, glacier, permanent snow, water, open water, sea,
        ocean, lake water, river water, flooded area, flood, dry land, permanent water, seasonal water, salt marsh,
        peat bog, tidal flat, estuary, delta, lagoon, built-up area, urban area, city, suburb, impervious surface,
        asphalt, concrete, metal roof, tile roof, tree, trees, grass, healthy grass, stressed grass, artificial turf,
        soil, road, sidewalk, crosswalk, major thoroughfare, minor road, unpaved parking lot, paved parking lot, cars,
        trains, stadium seats, residential building, non-residential building, burned area, clear-cut, landslide,
        algal bloom, cyanobacteria, oil spill, shadow, cloud shadow, haze, smoke, fire, red soil, cotton crop,
        grey soil, damp grey soil, very damp grey soil, vegetation stubble"""
    ),
    "crop": _names(
        """wheat, winter wheat, spring wheat, barley, winter barley, spring barley, rye, oats, maize, corn, rice,
        soybean, sunflower, rapeseed, canola, cotton, sugar cane, sugar beet, potato, cassava, sorghum, millet, peas,
        beans, chickpeas, lentils, peanuts, alfalfa, clover, tobacco, tea, coffee, cocoa, banana, oil palm, rubber,
        grape, apple, olive, citrus, almond, walnut, tomato, onion, cabbage, carrot, strawberry, hops, flax, hemp,
        fallow, temporary meadow, permanent meadow, grass ley, vegetables, orchard trees, triticale, buckwheat,
        pseudocereal, winter rapeseed, fodder crop, mixed crop, irrigated field, rainfed field"""
    ),
    "tree": _names(
        """oak, red oak, white oak, live oak, laurel oak, turkey oak, maple, red maple, sugar maple, pine,
        loblolly pine, longleaf pine, slash pine, scots pine, spruce, norway spruce, fir, silver fir, douglas fir,
        hemlock, larch, cedar, cypress, juniper, yew, birch, beech, ash, elm, hickory, sweetgum, tulip tree, black
        locust, poplar, aspen, willow, alder, linden, chestnut, hornbeam, sycamore, plane tree, eucalyptus, acacia,
        baobab, palm tree, teak, mahogany, magnolia, dogwood, cherry, walnut tree, black gum, sourwood, redbud,
        rhododendron, dead tree, tree crown, canopy, hedge, shrub, fern, bamboo"""
    ),
    "vehicle": _names(
        """car, van, truck, bus, taxi, motorcycle, bicycle, tractor, bulldozer, excavator, crane, trailer, tank,
        battle tank, main battle tank, infantry fighting vehicle, armored personnel carrier, armored bridge layer,
        self-propelled howitzer, artillery, anti-aircraft gun, air defence gun, missile launcher, rocket launcher,
        military truck, jeep, amphibious vehicle, reconnaissance vehicle, zsu-23-4 anti-aircraft vehicle, t-72 tank,
        t-62 tank, bmp-2 infantry vehicle, btr-60 armored personnel carrier, btr-70 armored personnel carrier,
        brdm-2 scout car, 2s1 howitzer, d7 bulldozer, zil-131 truck, aircraft, airliner, fighter jet, helicopter,
        glider, drone, balloon, rocket, satellite, boat, ship, cargo ship, container ship, tanker, ferry, fishing boat,
        sailing boat, cruise ship, warship, aircraft carrier, submarine, train, freight train, tram, locomotive"""
    ),
    "transport mode": _names(
        """walk, walking, run, running, bike, cycling, bus ride, car ride, driving, taxi ride, train ride, subway,
        metro, tram ride, airplane flight, flying, boat trip, sailing, ferry crossing, motorcycle ride, skating,
        standing still, commuting, hiking, jogging, delivery round, school bus, garbage truck, traffic jam, detour,
        pedestrian, crowd, group of people, vehicle track, animal migration, bird flight, ship route"""
    ),
    "weather": _names(
        """tropical depression, tropical storm, hurricane, major hurricane, typhoon, cyclone, extratropical cyclone,
        category 1 hurricane, category 2 hurricane, category 3 hurricane, category 4 hurricane, category 5 hurricane,
        tropical hurricane, baroclinic hurricane, subtropical storm, tropical wave, low pressure area, thunderstorm,
        tornado, squall line, cold front, warm front, rain, heavy rain, light rain, drizzle, hail, snowfall, blizzard,
        fog, drought, heat wave, frost, wind, air temperature, sea surface temperature, precipitation, humidity,
        air pressure, soil moisture, evaporation, solar radiation, cloud cover, air pollution, particulate matter,
        ozone, carbon dioxide, climate change, monsoon, el nino, flood forecast"""
    ),
    "object": _names(
        """chair, table, desk, sofa, bed, bathtub, toilet, dresser, night stand, monitor, bookshelf, lamp, door, window,
        wardrobe, stool, bench, piano, keyboard, laptop, cup, bottle, bowl, vase, plant, guitar, television, sink,
        mirror, curtain, stairs, ceiling, floor, wall, roof, chimney, column, beam, ground, low vegetation, medium
        vegetation, high vegetation, power line, transmission tower, pole, street lamp, traffic light, traffic sign,
        fence, bridge deck, noise, unclassified point, rail, car on a street, tunnel, statue, tent, cone, sphere, cube,
        cylinder, pyramid"""
    ),
    "building": _names(
        """house, apartment block, skyscraper, office building, warehouse, barn, silo, hangar, garage, hotel, museum,
        theatre, library, restaurant, bank, supermarket, police station, fire station, court house, embassy, castle,
        fortress, ruin, temple, cathedral, chapel, monastery, pagoda, synagogue, town hall, kindergarten, hut, villa,
        farmhouse, mill, windmill, pumping station, gas holder, control tower, bunker, terminal, shed, single-family
        house, detached house, terraced house, damaged building, destroyed building"""
    ),
    "network": _names(
        """motorway, trunk road, primary road, secondary road, residential street, service road, cycle path, footpath,
        dirt track, dead end, junction, ramp, ring road, road network, street network, grid of streets, air route,
        hub airport, regional airport, small airport, busy airport, railway network, metro network, power grid,
        pipeline, river network, drainage network, social network, citation network, sensor network, traffic flow,
        traffic speed, free flow traffic, congestion, bottleneck, protein structure, enzyme, molecule, knowledge graph,
        machine learning paper, neural networks, genetic algorithms, reinforcement learning, probabilistic methods,
        rule learning, case-based reasoning, learning theory, central node, isolated node, community of nodes"""
    ),
    "material": _names(
        """granite, basalt, limestone, sandstone, shale, marble, clay, kaolinite, alunite, muscovite, calcite,
        hematite, goethite, gypsum, quartz, dolomite, iron ore, copper ore, coal, salt, plastic, rubber, glass, wood,
        steel, aluminium, copper, paint, painted metal sheets, bitumen, bricks, self-blocking bricks, gravel roof, tar,
        chlorophyll, vegetation index, dry vegetation, turbid water, clear water, anomaly, background, target"""
    ),
    "programming language": _names(
        """Python, JavaScript, TypeScript, Java, C, C++, C#, Objective-C, Swift, Ruby, Perl, PHP, Go, Rust, Kotlin,
        Scala, Haskell, OCaml, F#, Erlang, Clojure, Lisp, Lua, R, MATLAB, Julia, Fortran, Pascal, COBOL, Shell, Bash,
        SQL, PLpgSQL, HTML, CSS, XML, JSON, YAML, Markdown, TeX, GLSL, Verilog, VHDL, Groovy, CoffeeScript, NCL, Stata,
        Gnuplot, assembly language, Earth Engine script, shader, regular expression, database query, sorting algorithm,
        recursive function, matrix multiplication, prime numbers, string processing, dynamic programming, image filter,
        map projection, geometry buffer, point in polygon, zonal statistics, time series chart, feature collection"""
    ),
    "place": _names(
        """Africa, Antarctica, Asia, Europe, North America, South America, Oceania, Arctic, Middle East, Central Asia,
        Caribbean, Mediterranean Sea, Atlantic Ocean, Pacific Ocean, Indian Ocean, Amazon, Sahara, Himalayas, Alps,
        Andes, equator, tropics, temperate zone, polar region, northern hemisphere, southern hemisphere, capital city,
        border, coast, peninsula, archipelago, plateau, valley, canyon, plain, hill, ridge, cliff, dune, oasis, fjord,
        crater, geyser, hot spring, coral reef, strait, bay, cape, watershed, spring, canal, ditch, levee, time zone"""
    ),
    "news": _names(
        """sports, baseball, hockey, politics, middle east politics, gun control, religion, christianity, atheism,
        science, space flight, medicine, electronics, cryptography, computer graphics, computer hardware, mac hardware,
        windows operating system, x window system, cars and driving, motorcycles, items for sale, economy, business,
        technology, education, health, war, crime, accident, earthquake, election, culture, travel, agriculture"""
    ),
}

COLUMNS = _names(
    """longitude, latitude, elevation, altitude, aspect, slope, population, households, median income, median house
    value, house age, total rooms, total bedrooms, average rooms, average bedrooms, average occupancy, ocean
    proximity, price, area, length, width, height, depth, distance, distance to water, horizontal distance to
    hydrology, vertical distance to hydrology, horizontal distance to roadways, horizontal distance to fire
    points, hillshade at 9 am, hillshade at noon, hillshade at 3 pm, wilderness area, soil type, cover type,
    temperature, dew point, pressure, wind speed, wind direction, cumulated hours of rain, cumulated hours of
    snow, hour, day, month, year, weekday, season, date, time, timestamp, pm2.5, pm10, no2, ozone level,
    country, state, county, city, district, postal code, street, address, name, category, code, identifier,
    station, airport, delay, passengers, speed, capacity, lanes, ndvi, reflectance, backscatter, magnitude,
    depth of earthquake, unemployment rate, life expectancy, birth rate, gdp per capita, land use, building
    height, floors, year built, energy use, rainfall, runoff, water level, discharge, yield, crop, biomass,
    carbon, species, count, density"""
)

TEMPLATES: dict[str, tuple[str, ...]] = {
    "": ("{x}", "a photo of {x}", "this is {x}"),
    "scene": ("a satellite image of {x}", "an aerial photo of {x}", "a radar image of {x}", "a {x} seen from above"),
    "land cover": ("a satellite image of {x}", "a radar image of {x}", "a multispectral image of {x}", "{x} on land"),
    "crop": ("a field of {x}", "a satellite time series of {x}", "a multispectral image of {x}"),
    "tree": ("a {x} tree crown", "a hyperspectral image of {x}", "a point cloud of {x}"),
    "vehicle": ("a radar image of {x}", "a satellite image of {x}", "a GPS track of {x}"),
    "transport mode": ("a GPS track of {x}", "a person travelling by {x}", "a trajectory: {x}"),
    "weather": ("the track of a {x}", "a weather map of {x}", "a table about {x}", "a forecast of {x}"),
    "object": ("a point cloud of {x}", "a 3D model of {x}", "a laser scan of {x}"),
    "building": ("a satellite image of {x}", "a point cloud of {x}", "a building used as {x}"),
    "network": ("a graph of {x}", "a road graph: {x}", "a paper about {x}"),
    "material": ("a hyperspectral image of {x}", "the spectrum of {x}", "a surface of {x}"),
    "programming language": ("a program in {x}", "source code: {x}", "code written in {x}"),
    "place": ("a map of {x}", "a text about {x}", "a satellite image of {x}"),
    "news": ("a text about {x}", "a news article about {x}", "a discussion of {x}"),
    "column": ("a table about {x}", "the column {x}", "{x} of a place", "high {x}", "low {x}"),
}

PARAPHRASES: dict[str, dict[str, str]] = {
    "scene": {
        "a place where planes take off and land": "airport", "woods with dense trees": "forest",
        "boats moored along the quay": "harbor", "houses packed closely together": "dense residential area",
        "sand along the sea shore": "beach", "a structure that carries a road across a river": "bridge",
        "many cars parked in rows": "parking lot", "plots of cultivated fields": "farmland",
        "a sports arena with stands": "stadium", "trains stop here for passengers": "railway station",
        "round tanks that hold oil": "storage tanks", "an artificial lake behind a wall": "reservoir",
        "a highway crossing with loops": "interchange", "graves and tombstones": "cemetery",
        "rows of vines for wine": "vineyard", "photovoltaic panels in a field": "solar farm",
        "shanty town of poor dwellings": "slum", "manufacturing plants and warehouses": "industrial area",
        "children play on swings here": "playground", "arid land of sand dunes": "desert",
    },
    "transport mode": {
        "going on foot": "walking", "pedalling on two wheels": "cycling", "travelling in an automobile": "driving",
        "travelling through the air": "flying", "riding the underground": "subway",
        "on a boat over the water": "sailing",
        "moving on rails between cities": "train ride", "jogging fast for sport": "running",
    },
    "object": {
        "a seat with a back and four legs": "chair", "furniture to sleep in": "bed",
        "a couch for several people": "sofa",
        "a lavatory": "toilet", "a computer screen": "monitor", "a tub to wash oneself in": "bathtub",
        "a chest of drawers for clothes": "dresser", "a shelf that holds books": "bookshelf",
    },
    "vehicle": {
        "an armoured fighting machine with a big gun": "tank", "a large vehicle that carries many passengers": "bus",
        "a lorry that carries goods": "truck", "a machine that pushes earth with a blade": "bulldozer",
        "a vessel that carries oil": "tanker", "a flying machine with a rotor": "helicopter",
        "a farm machine that pulls a plough": "tractor", "a howitzer or field gun": "artillery",
    },
    "weather": {
        "a very strong tropical cyclone": "major hurricane", "white flakes falling in winter": "snowfall",
        "a long time without rain": "drought", "a rotating funnel of wind": "tornado",
        "low cloud near the ground": "fog", "days of extreme hot weather": "heat wave",
    },
    "crop": {
        "sweet corn": "maize", "paddy fields": "rice", "yellow flowering oil seed": "rapeseed",
        "white fibre for textiles": "cotton", "tubers used for chips": "potato", "grain for bread": "wheat",
        "malting grain for beer": "barley", "land left unsown for a season": "fallow",
    },
}  # fmt: skip


def names() -> list[tuple[str, str]]:
    """(theme, name) of every name and column."""
    found = [(theme, name) for theme, group in NAMES.items() for name in group]
    return found + [("column", name) for name in COLUMNS]


def phrases() -> list[str]:
    """Every name in every sentence of its theme and in the general ones."""
    found = []
    for theme, name in names():
        found += [template.format(x=name) for template in (*TEMPLATES[""], *TEMPLATES[theme])]
    return list(dict.fromkeys(found))
