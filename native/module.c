/* JPEG as planes: the optional accelerator behind hotfolder/imaging/native.py. This file is the Python module.
 *
 * A JPEG holds brightness and two colour differences as planes, the latter often at half size. Here they stay planes
 * from decoding over resampling to encoding: no conversion to RGB and back, no interleaving. jpeg.c decodes and
 * encodes: libjpeg-turbo reads headers, baseline.c what cameras write, progressive.c writes what viewers get, libjpeg does
 * all the rest. resample.c works between.
 *
 * Sources are hostile. Whatever is unusual (inks, other sampling, 12 bits, arithmetic coding) or makes libjpeg warn
 * ends in Declined: Pillow then decodes it and says what is wrong. The caller has checked the size; it is checked again.
 * Nothing here holds the GIL while it works.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "baseline.h"
#include "planes.h"
#include "progressive.h"

typedef struct {
    PyObject_HEAD
    Planes planes;
    PyObject *owner[3];  /* whose memory the plane's data is; NULL: ours */
} Picture;

static PyObject *picture_type, *Declined;

static Picture *picture_new(int width, int height) {
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)picture_type, Py_tp_alloc);
    Picture *picture = (Picture *)make((PyTypeObject *)picture_type, 0);  /* all zero */
    if (picture) {
        picture->planes.width = width;
        picture->planes.height = height;
    }
    return picture;
}

static void picture_free(Picture *picture) {
    PyTypeObject *type = Py_TYPE((PyObject *)picture);
    for (int i = 0; i < 3; i++) {
        if (!picture->owner[i]) free(picture->planes.plane[i].data);
        Py_CLEAR(picture->owner[i]);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(picture);
    Py_DECREF(type);
}

static PyObject *raise_failure(const Failure *failure) {
    if (failure->memory) return PyErr_NoMemory();
    PyErr_SetString(Declined, failure->text);
    return NULL;
}

static PyObject *module_decode(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data;
    int width, height, denominator, good;
    Failure failure;
    if (!PyArg_ParseTuple(arguments, "y*iii:decode", &data, &width, &height, &denominator)) return NULL;
    Picture *picture = NULL;
    if (width < 1 || height < 1 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8))
        PyErr_SetString(PyExc_ValueError, "width and height are 1 to 65500, the denominator is 1, 2, 4 or 8");
    else
        picture = picture_new(width, height);
    if (picture) {
        Py_BEGIN_ALLOW_THREADS
        good = planes_decode(&picture->planes, data.buf, data.len, denominator, &failure);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(picture);
            raise_failure(&failure);
        }
    }
    PyBuffer_Release(&data);
    return (PyObject *)picture;
}

static PyObject *picture_resized(Picture *self, PyObject *arguments) {
    Wish wish = {0};
    if (!PyArg_ParseTuple(arguments, "(ii)(dddd)ip|p:resized", &wish.width, &wish.height, &wish.left,
                          &wish.top, &wish.right, &wish.bottom, &wish.orientation, &wish.halved, &wish.average))
        return NULL;
    const Planes *planes = &self->planes;
    int turned = wish.orientation >= 5, wide = turned ? planes->height : planes->width;
    int high = turned ? planes->width : planes->height;
    if (wish.width < 1 || wish.height < 1 || wish.width > LARGEST_SIDE || wish.height > LARGEST_SIDE ||
        wish.orientation < 1 || wish.orientation > 8 || !(wish.left >= 0 && wish.left < wish.right) ||
        !(wish.right <= wide) || !(wish.top >= 0 && wish.top < wish.bottom) || !(wish.bottom <= high)) {
        PyErr_SetString(PyExc_ValueError, "the box must lie within the upright picture, orientation be 1 to 8");
        return NULL;
    }
    Picture *picture = picture_new(wish.width, wish.height);
    if (!picture) return NULL;
    picture->planes.count = planes->count;
    int good, same[3] = {0};
    Py_BEGIN_ALLOW_THREADS
    good = planes_resize(planes, &picture->planes, &wish, same);
    Py_END_ALLOW_THREADS
    for (int i = 0; i < planes->count; i++)
        if (same[i]) picture->owner[i] = Py_NewRef(self->owner[i] ? self->owner[i] : (PyObject *)self);
    if (good) return (PyObject *)picture;
    Py_DECREF(picture);
    return PyErr_NoMemory();
}

static PyObject *picture_jpeg(Picture *self, PyObject *arguments) {
    int quality, scans, good;
    const uint8_t *tables = NULL;
    Py_ssize_t length = 0;
    uint8_t *made = NULL;
    size_t size = 0;
    Failure failure;
    if (!PyArg_ParseTuple(arguments, "ii|y#:jpeg", &quality, &scans, &tables, &length)) return NULL;
    if (tables && (length != 2 * BLOCK_SIZE || memchr(tables, 0, length))) {
        PyErr_SetString(PyExc_ValueError, "tables are two of 64 steps, each 1 to 255");
        return NULL;
    }
    if (scans < BASELINE || scans > SMALL) {
        PyErr_SetString(PyExc_ValueError, "scans is BASELINE, FAST or SMALL");
        return NULL;
    }
    double half = 0.5;
    for (int i = 0; i < self->planes.count; i++)
        if (self->planes.plane[i].across != (i ? half : 1.0) || self->planes.plane[i].down != (i ? half : 1.0)) {
            PyErr_SetString(PyExc_ValueError, "only what was resized with its colour halved can be encoded");
            return NULL;
        }
    Py_BEGIN_ALLOW_THREADS
    good = planes_encode(&self->planes, quality, tables, scans, &made, &size, &failure);
    Py_END_ALLOW_THREADS
    PyObject *result = good ? PyBytes_FromStringAndSize((char *)made, size) : raise_failure(&failure);
    free(made);
    return result;
}

static PyObject *picture_plane(Picture *self, PyObject *arguments) {
    int i;
    if (!PyArg_ParseTuple(arguments, "i:plane", &i)) return NULL;
    if (i < 0 || i >= self->planes.count) {
        PyErr_SetString(PyExc_IndexError, "no such plane");
        return NULL;
    }
    const Plane *plane = &self->planes.plane[i];
    size_t size = bytes(plane->width, plane->height, 0);
    PyObject *samples = size <= PY_SSIZE_T_MAX / 2 ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size) : PyErr_NoMemory();
    if (!samples) return NULL;
    char *to = PyBytes_AsString(samples);
    for (int y = 0; y < plane->height; y++)
        memcpy(to + (size_t)y * plane->width, plane->data + y * plane->stride, plane->width);
    return Py_BuildValue("(ii)N", plane->width, plane->height, samples);
}

static PyObject *picture_size(Picture *self, void *unused) {
    (void)unused;
    return Py_BuildValue("(ii)", self->planes.width, self->planes.height);
}

static PyObject *picture_count(Picture *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(self->planes.count);
}

static PyObject *picture_direct(Picture *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(self->planes.direct);
}

static PyMethodDef methods[] = {
    {"resized", (PyCFunction)picture_resized, METH_VARARGS,
     "resized((width, height), (left, top, right, bottom), orientation, halved[, average]) -> Planes\n\n"
     "The box of the upright picture at this size, upright, by Lanczos or by averages; halved: its colour at half size (4:2:0)."},
    {"jpeg", (PyCFunction)picture_jpeg, METH_VARARGS,
     "jpeg(quality, scans[, tables]) -> bytes\n\nThe picture as a JPEG; its colour must be halved. Scans: BASELINE, FAST, "
     "SMALL. Tables in place of the quality: 128 bytes, for brightness and for colour, in natural order."},
    {"plane", (PyCFunction)picture_plane, METH_VARARGS,
     "plane(number) -> ((width, height), bytes)\n\nThe samples of Y, Cb or Cr, row by row."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef attributes[] = {
    {"size", (getter)picture_size, NULL, "Width and height of the picture in pixels, as it is stored.", NULL},
    {"count", (getter)picture_count, NULL, "1 (grey) or 3 (Y, Cb, Cr).", NULL},
    {"direct", (getter)picture_direct, NULL, "Whether it was decoded here, and not by libjpeg.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_dealloc, picture_free}, {Py_tp_methods, methods}, {Py_tp_getset, attributes}, {0, NULL},
};
static PyType_Spec spec = {
    "hotfolder.imaging._planes.Planes", sizeof(Picture), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots,
};
static PyMethodDef functions[] = {
    {"decode", module_decode, METH_VARARGS,
     "decode(data, width, height, denominator) -> Planes\n\n"
     "The JPEG at 1/denominator. Raises Declined for what is unusual or damaged."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_planes", "JPEG as planes, by libjpeg.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__planes(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    resample_prepare();
    baseline_prepare();
    progressive_prepare();
    picture_type = PyType_FromSpec(&spec);
    Declined = PyErr_NewException("hotfolder.imaging._planes.Declined", NULL, NULL);
    if (!picture_type || !Declined || PyModule_AddObjectRef(module, "Planes", picture_type) ||
        PyModule_AddObjectRef(module, "Declined", Declined) || PyModule_AddStringConstant(module, "library", jpeg_library()) ||
        PyModule_AddIntConstant(module, "BASELINE", BASELINE) || PyModule_AddIntConstant(module, "FAST", FAST) ||
        PyModule_AddIntConstant(module, "SMALL", SMALL)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
