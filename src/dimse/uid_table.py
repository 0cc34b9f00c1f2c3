"""UIDs of PS3.6 annex A: tail|kind|name, one a line. Made by tools/generate_uids.py.

Kinds: storage (a SOP class of C-STORE), class, meta, syntax, context, instance, service.
"""

ROOT = "1.2.840.10008"
TABLE = """\
.1.1|class|Verification SOP Class
.1.2|syntax|Implicit VR Little Endian
.1.2.1|syntax|Explicit VR Little Endian
.1.2.1.98|syntax|Encapsulated Uncompressed Explicit VR Little Endian
.1.2.1.99|syntax|Deflated Explicit VR Little Endian
.1.2.2|syntax|Explicit VR Big Endian
.1.2.4.50|syntax|JPEG Baseline (Process 1)
.1.2.4.51|syntax|JPEG Extended (Process 2 and 4)
.1.2.4.52|syntax|JPEG Extended (Process 3 and 5)
.1.2.4.53|syntax|JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)
.1.2.4.54|syntax|JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)
.1.2.4.55|syntax|JPEG Full Progression, Non-Hierarchical (Process 10 and 12)
.1.2.4.56|syntax|JPEG Full Progression, Non-Hierarchical (Process 11 and 13)
.1.2.4.57|syntax|JPEG Lossless, Non-Hierarchical (Process 14)
.1.2.4.58|syntax|JPEG Lossless, Non-Hierarchical (Process 15)
.1.2.4.59|syntax|JPEG Extended, Hierarchical (Process 16 and 18)
.1.2.4.60|syntax|JPEG Extended, Hierarchical (Process 17 and 19)
.1.2.4.61|syntax|JPEG Spectral Selection, Hierarchical (Process 20 and 22)
.1.2.4.62|syntax|JPEG Spectral Selection, Hierarchical (Process 21 and 23)
.1.2.4.63|syntax|JPEG Full Progression, Hierarchical (Process 24 and 26)
.1.2.4.64|syntax|JPEG Full Progression, Hierarchical (Process 25 and 27)
.1.2.4.65|syntax|JPEG Lossless, Hierarchical (Process 28)
.1.2.4.66|syntax|JPEG Lossless, Hierarchical (Process 29)
.1.2.4.70|syntax|JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])
.1.2.4.80|syntax|JPEG-LS Lossless Image Compression
.1.2.4.81|syntax|JPEG-LS Lossy (Near-Lossless) Image Compression
.1.2.4.90|syntax|JPEG 2000 Image Compression (Lossless Only)
.1.2.4.91|syntax|JPEG 2000 Image Compression
.1.2.4.92|syntax|JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)
.1.2.4.93|syntax|JPEG 2000 Part 2 Multi-component Image Compression
.1.2.4.94|syntax|JPIP Referenced
.1.2.4.95|syntax|JPIP Referenced Deflate
.1.2.4.100|syntax|MPEG2 Main Profile / Main Level
.1.2.4.100.1|syntax|Fragmentable MPEG2 Main Profile / Main Level
.1.2.4.101|syntax|MPEG2 Main Profile / High Level
.1.2.4.101.1|syntax|Fragmentable MPEG2 Main Profile / High Level
.1.2.4.102|syntax|MPEG-4 AVC/H.264 High Profile / Level 4.1
.1.2.4.102.1|syntax|Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1
.1.2.4.103|syntax|MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
.1.2.4.103.1|syntax|Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
.1.2.4.104|syntax|MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
.1.2.4.104.1|syntax|Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
.1.2.4.105|syntax|MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
.1.2.4.105.1|syntax|Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
.1.2.4.106|syntax|MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
.1.2.4.106.1|syntax|Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
.1.2.4.107|syntax|HEVC/H.265 Main Profile / Level 5.1
.1.2.4.108|syntax|HEVC/H.265 Main 10 Profile / Level 5.1
.1.2.4.201|syntax|High-Throughput JPEG 2000 Image Compression (Lossless Only)
.1.2.4.202|syntax|High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)
.1.2.4.203|syntax|High-Throughput JPEG 2000 Image Compression
.1.2.4.204|syntax|JPIP HTJ2K Referenced
.1.2.4.205|syntax|JPIP HTJ2K Referenced Deflate
.1.2.5|syntax|RLE Lossless
.1.2.6.1|syntax|RFC 2557 MIME encapsulation
.1.2.6.2|syntax|XML Encoding
.1.2.7.1|syntax|SMPTE ST 2110-20 Uncompressed Progressive Active Video
.1.2.7.2|syntax|SMPTE ST 2110-20 Uncompressed Interlaced Active Video
.1.2.7.3|syntax|SMPTE ST 2110-30 PCM Digital Audio
.1.3.10|class|Media Storage Directory Storage
.1.5.1|instance|Hot Iron Color Palette SOP Instance
.1.5.2|instance|PET Color Palette SOP Instance
.1.5.3|instance|Hot Metal Blue Color Palette SOP Instance
.1.5.4|instance|PET 20 Step Color Palette SOP Instance
.1.5.5|instance|Spring Color Palette SOP Instance
.1.5.6|instance|Summer Color Palette SOP Instance
.1.5.7|instance|Fall Color Palette SOP Instance
.1.5.8|instance|Winter Color Palette SOP Instance
.1.9|class|Basic Study Content Notification SOP Class
.1.20|syntax|Papyrus 3 Implicit VR Little Endian
.1.20.1|class|Storage Commitment Push Model SOP Class
.1.20.1.1|instance|Storage Commitment Push Model SOP Instance
.1.20.2|class|Storage Commitment Pull Model SOP Class
.1.20.2.1|instance|Storage Commitment Pull Model SOP Instance
.1.40|class|Procedural Event Logging SOP Class
.1.40.1|instance|Procedural Event Logging SOP Instance
.1.42|class|Substance Administration Logging SOP Class
.1.42.1|instance|Substance Administration Logging SOP Instance
.3.1.1.1|context|DICOM Application Context Name
.3.1.2.1.1|class|Detached Patient Management SOP Class
.3.1.2.1.4|meta|Detached Patient Management Meta SOP Class
.3.1.2.2.1|class|Detached Visit Management SOP Class
.3.1.2.3.1|class|Detached Study Management SOP Class
.3.1.2.3.2|class|Study Component Management SOP Class
.3.1.2.3.3|class|Modality Performed Procedure Step SOP Class
.3.1.2.3.4|class|Modality Performed Procedure Step Retrieve SOP Class
.3.1.2.3.5|class|Modality Performed Procedure Step Notification SOP Class
.3.1.2.5.1|class|Detached Results Management SOP Class
.3.1.2.5.4|meta|Detached Results Management Meta SOP Class
.3.1.2.5.5|meta|Detached Study Management Meta SOP Class
.3.1.2.6.1|class|Detached Interpretation Management SOP Class
.4.2|service|Storage Service Class
.5.1.1.1|class|Basic Film Session SOP Class
.5.1.1.2|class|Basic Film Box SOP Class
.5.1.1.4|class|Basic Grayscale Image Box SOP Class
.5.1.1.4.1|class|Basic Color Image Box SOP Class
.5.1.1.4.2|class|Referenced Image Box SOP Class
.5.1.1.9|meta|Basic Grayscale Print Management Meta SOP Class
.5.1.1.9.1|meta|Referenced Grayscale Print Management Meta SOP Class
.5.1.1.14|class|Print Job SOP Class
.5.1.1.15|class|Basic Annotation Box SOP Class
.5.1.1.16|class|Printer SOP Class
.5.1.1.16.376|class|Printer Configuration Retrieval SOP Class
.5.1.1.17|instance|Printer SOP Instance
.5.1.1.17.376|instance|Printer Configuration Retrieval SOP Instance
.5.1.1.18|meta|Basic Color Print Management Meta SOP Class
.5.1.1.18.1|meta|Referenced Color Print Management Meta SOP Class
.5.1.1.22|class|VOI LUT Box SOP Class
.5.1.1.23|class|Presentation LUT SOP Class
.5.1.1.24|class|Image Overlay Box SOP Class
.5.1.1.24.1|class|Basic Print Image Overlay Box SOP Class
.5.1.1.25|instance|Print Queue SOP Instance
.5.1.1.26|class|Print Queue Management SOP Class
.5.1.1.27|storage|Stored Print Storage SOP Class
.5.1.1.29|storage|Hardcopy Grayscale Image Storage SOP Class
.5.1.1.30|storage|Hardcopy Color Image Storage SOP Class
.5.1.1.31|class|Pull Print Request SOP Class
.5.1.1.32|meta|Pull Stored Print Management Meta SOP Class
.5.1.1.33|class|Media Creation Management SOP Class UID
.5.1.1.40|class|Display System SOP Class
.5.1.1.40.1|instance|Display System SOP Instance
.5.1.4.1.1.1|storage|Computed Radiography Image Storage
.5.1.4.1.1.1.1|storage|Digital X-Ray Image Storage - For Presentation
.5.1.4.1.1.1.1.1|storage|Digital X-Ray Image Storage - For Processing
.5.1.4.1.1.1.2|storage|Digital Mammography X-Ray Image Storage - For Presentation
.5.1.4.1.1.1.2.1|storage|Digital Mammography X-Ray Image Storage - For Processing
.5.1.4.1.1.1.3|storage|Digital Intra-Oral X-Ray Image Storage - For Presentation
.5.1.4.1.1.1.3.1|storage|Digital Intra-Oral X-Ray Image Storage - For Processing
.5.1.4.1.1.2|storage|CT Image Storage
.5.1.4.1.1.2.1|storage|Enhanced CT Image Storage
.5.1.4.1.1.2.2|storage|Legacy Converted Enhanced CT Image Storage
.5.1.4.1.1.3|storage|Ultrasound Multi-frame Image Storage
.5.1.4.1.1.3.1|storage|Ultrasound Multi-frame Image Storage
.5.1.4.1.1.4|storage|MR Image Storage
.5.1.4.1.1.4.1|storage|Enhanced MR Image Storage
.5.1.4.1.1.4.2|storage|MR Spectroscopy Storage
.5.1.4.1.1.4.3|storage|Enhanced MR Color Image Storage
.5.1.4.1.1.4.4|storage|Legacy Converted Enhanced MR Image Storage
.5.1.4.1.1.5|storage|Nuclear Medicine Image Storage
.5.1.4.1.1.6|storage|Ultrasound Image Storage
.5.1.4.1.1.6.1|storage|Ultrasound Image Storage
.5.1.4.1.1.6.2|storage|Enhanced US Volume Storage
.5.1.4.1.1.6.3|storage|Photoacoustic Image Storage
.5.1.4.1.1.7|storage|Secondary Capture Image Storage
.5.1.4.1.1.7.1|storage|Multi-frame Single Bit Secondary Capture Image Storage
.5.1.4.1.1.7.2|storage|Multi-frame Grayscale Byte Secondary Capture Image Storage
.5.1.4.1.1.7.3|storage|Multi-frame Grayscale Word Secondary Capture Image Storage
.5.1.4.1.1.7.4|storage|Multi-frame True Color Secondary Capture Image Storage
.5.1.4.1.1.8|storage|Standalone Overlay Storage
.5.1.4.1.1.9|storage|Standalone Curve Storage
.5.1.4.1.1.9.1|storage|Waveform Storage - Trial
.5.1.4.1.1.9.1.1|storage|12-lead ECG Waveform Storage
.5.1.4.1.1.9.1.2|storage|General ECG Waveform Storage
.5.1.4.1.1.9.1.3|storage|Ambulatory ECG Waveform Storage
.5.1.4.1.1.9.1.4|storage|General 32-bit ECG Waveform Storage
.5.1.4.1.1.9.2.1|storage|Hemodynamic Waveform Storage
.5.1.4.1.1.9.3.1|storage|Cardiac Electrophysiology Waveform Storage
.5.1.4.1.1.9.4.1|storage|Basic Voice Audio Waveform Storage
.5.1.4.1.1.9.4.2|storage|General Audio Waveform Storage
.5.1.4.1.1.9.5.1|storage|Arterial Pulse Waveform Storage
.5.1.4.1.1.9.6.1|storage|Respiratory Waveform Storage
.5.1.4.1.1.9.6.2|storage|Multi-channel Respiratory Waveform Storage
.5.1.4.1.1.9.7.1|storage|Routine Scalp Electroencephalogram Waveform Storage
.5.1.4.1.1.9.7.2|storage|Electromyogram Waveform Storage
.5.1.4.1.1.9.7.3|storage|Electrooculogram Waveform Storage
.5.1.4.1.1.9.7.4|storage|Sleep Electroencephalogram Waveform Storage
.5.1.4.1.1.9.8.1|storage|Body Position Waveform Storage
.5.1.4.1.1.10|storage|Standalone Modality LUT Storage
.5.1.4.1.1.11|storage|Standalone VOI LUT Storage
.5.1.4.1.1.11.1|storage|Grayscale Softcopy Presentation State Storage
.5.1.4.1.1.11.2|storage|Color Softcopy Presentation State Storage
.5.1.4.1.1.11.3|storage|Pseudo-Color Softcopy Presentation State Storage
.5.1.4.1.1.11.4|storage|Blending Softcopy Presentation State Storage
.5.1.4.1.1.11.5|storage|XA/XRF Grayscale Softcopy Presentation State Storage
.5.1.4.1.1.11.6|storage|Grayscale Planar MPR Volumetric Presentation State Storage
.5.1.4.1.1.11.7|storage|Compositing Planar MPR Volumetric Presentation State Storage
.5.1.4.1.1.11.8|storage|Advanced Blending Presentation State Storage
.5.1.4.1.1.11.9|storage|Volume Rendering Volumetric Presentation State Storage
.5.1.4.1.1.11.10|storage|Segmented Volume Rendering Volumetric Presentation State Storage
.5.1.4.1.1.11.11|storage|Multiple Volume Rendering Volumetric Presentation State Storage
.5.1.4.1.1.11.12|storage|Variable Modality LUT Softcopy Presentation State Storage
.5.1.4.1.1.12.1|storage|X-Ray Angiographic Image Storage
.5.1.4.1.1.12.1.1|storage|Enhanced XA Image Storage
.5.1.4.1.1.12.2|storage|X-Ray Radiofluoroscopic Image Storage
.5.1.4.1.1.12.2.1|storage|Enhanced XRF Image Storage
.5.1.4.1.1.12.3|storage|X-Ray Angiographic Bi-Plane Image Storage
.5.1.4.1.1.12.77|class|
.5.1.4.1.1.13.1.1|storage|X-Ray 3D Angiographic Image Storage
.5.1.4.1.1.13.1.2|storage|X-Ray 3D Craniofacial Image Storage
.5.1.4.1.1.13.1.3|storage|Breast Tomosynthesis Image Storage
.5.1.4.1.1.13.1.4|storage|Breast Projection X-Ray Image Storage - For Presentation
.5.1.4.1.1.13.1.5|storage|Breast Projection X-Ray Image Storage - For Processing
.5.1.4.1.1.14.1|storage|Intravascular Optical Coherence Tomography Image Storage - For Presentation
.5.1.4.1.1.14.2|storage|Intravascular Optical Coherence Tomography Image Storage - For Processing
.5.1.4.1.1.20|storage|Nuclear Medicine Image Storage
.5.1.4.1.1.30|storage|Parametric Map Storage
.5.1.4.1.1.40|class|
.5.1.4.1.1.66|storage|Raw Data Storage
.5.1.4.1.1.66.1|storage|Spatial Registration Storage
.5.1.4.1.1.66.2|storage|Spatial Fiducials Storage
.5.1.4.1.1.66.3|storage|Deformable Spatial Registration Storage
.5.1.4.1.1.66.4|storage|Segmentation Storage
.5.1.4.1.1.66.5|storage|Surface Segmentation Storage
.5.1.4.1.1.66.6|storage|Tractography Results Storage
.5.1.4.1.1.67|storage|Real World Value Mapping Storage
.5.1.4.1.1.68.1|storage|Surface Scan Mesh Storage
.5.1.4.1.1.68.2|storage|Surface Scan Point Cloud Storage
.5.1.4.1.1.77.1|storage|VL Image Storage - Trial
.5.1.4.1.1.77.2|storage|VL Multi-frame Image Storage - Trial
.5.1.4.1.1.77.1.1|storage|VL Endoscopic Image Storage
.5.1.4.1.1.77.1.1.1|storage|Video Endoscopic Image Storage
.5.1.4.1.1.77.1.2|storage|VL Microscopic Image Storage
.5.1.4.1.1.77.1.2.1|storage|Video Microscopic Image Storage
.5.1.4.1.1.77.1.3|storage|VL Slide-Coordinates Microscopic Image Storage
.5.1.4.1.1.77.1.4|storage|VL Photographic Image Storage
.5.1.4.1.1.77.1.4.1|storage|Video Photographic Image Storage
.5.1.4.1.1.77.1.5.1|storage|Ophthalmic Photography 8 Bit Image Storage
.5.1.4.1.1.77.1.5.2|storage|Ophthalmic Photography 16 Bit Image Storage
.5.1.4.1.1.77.1.5.3|storage|Stereometric Relationship Storage
.5.1.4.1.1.77.1.5.4|storage|Ophthalmic Tomography Image Storage
.5.1.4.1.1.77.1.5.5|storage|Wide Field Ophthalmic Photography Stereographic Projection Image Storage
.5.1.4.1.1.77.1.5.6|storage|Wide Field Ophthalmic Photography 3D Coordinates Image Storage
.5.1.4.1.1.77.1.5.7|storage|Ophthalmic Optical Coherence Tomography En Face Image Storage
.5.1.4.1.1.77.1.5.8|storage|Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage
.5.1.4.1.1.77.1.6|storage|VL Whole Slide Microscopy Image Storage
.5.1.4.1.1.77.1.7|storage|Dermoscopic Photography Image Storage
.5.1.4.1.1.77.1.8|storage|Confocal Microscopy Image Storage
.5.1.4.1.1.77.1.9|storage|Confocal Microscopy Tiled Pyramidal Image Storage
.5.1.4.1.1.78.1|storage|Lensometry Measurements Storage
.5.1.4.1.1.78.2|storage|Autorefraction Measurements Storage
.5.1.4.1.1.78.3|storage|Keratometry Measurements Storage
.5.1.4.1.1.78.4|storage|Subjective Refraction Measurements Storage
.5.1.4.1.1.78.5|storage|Visual Acuity Measurements Storage
.5.1.4.1.1.78.6|storage|Spectacle Prescription Report Storage
.5.1.4.1.1.78.7|storage|Ophthalmic Axial Measurements Storage
.5.1.4.1.1.78.8|storage|Intraocular Lens Calculations Storage
.5.1.4.1.1.79.1|storage|Macular Grid Thickness and Volume Report Storage
.5.1.4.1.1.80.1|storage|Ophthalmic Visual Field Static Perimetry Measurements Storage
.5.1.4.1.1.81.1|storage|Ophthalmic Thickness Map Storage
.5.1.4.1.1.82.1|storage|Corneal Topography Map Storage
.5.1.4.1.1.88.1|storage|Text SR Storage - Trial
.5.1.4.1.1.88.2|storage|Audio SR Storage - Trial
.5.1.4.1.1.88.3|storage|Detail SR Storage - Trial
.5.1.4.1.1.88.4|storage|Comprehensive SR Storage - Trial
.5.1.4.1.1.88.11|storage|Basic Text SR Storage
.5.1.4.1.1.88.22|storage|Enhanced SR Storage
.5.1.4.1.1.88.33|storage|Comprehensive SR Storage
.5.1.4.1.1.88.34|storage|Comprehensive 3D SR Storage
.5.1.4.1.1.88.35|storage|Extensible SR Storage
.5.1.4.1.1.88.40|storage|Procedure Log Storage
.5.1.4.1.1.88.50|storage|Mammography CAD SR Storage
.5.1.4.1.1.88.59|storage|Key Object Selection Document Storage
.5.1.4.1.1.88.65|storage|Chest CAD SR Storage
.5.1.4.1.1.88.67|storage|X-Ray Radiation Dose SR Storage
.5.1.4.1.1.88.68|storage|Radiopharmaceutical Radiation Dose SR Storage
.5.1.4.1.1.88.69|storage|Colon CAD SR Storage
.5.1.4.1.1.88.70|storage|Implantation Plan SR Storage
.5.1.4.1.1.88.71|storage|Acquisition Context SR Storage
.5.1.4.1.1.88.72|storage|Simplified Adult Echo SR Storage
.5.1.4.1.1.88.73|storage|Patient Radiation Dose SR Storage
.5.1.4.1.1.88.74|storage|Planned Imaging Agent Administration SR Storage
.5.1.4.1.1.88.75|storage|Performed Imaging Agent Administration SR Storage
.5.1.4.1.1.88.76|storage|Enhanced X-Ray Radiation Dose SR Storage
.5.1.4.1.1.88.77|storage|Waveform Annotation SR Storage
.5.1.4.1.1.90.1|storage|Content Assessment Results Storage
.5.1.4.1.1.91.1|storage|Microscopy Bulk Simple Annotations Storage
.5.1.4.1.1.104.1|storage|Encapsulated PDF Storage
.5.1.4.1.1.104.2|storage|Encapsulated CDA Storage
.5.1.4.1.1.104.3|storage|Encapsulated STL Storage
.5.1.4.1.1.104.4|storage|Encapsulated OBJ Storage
.5.1.4.1.1.104.5|storage|Encapsulated MTL Storage
.5.1.4.1.1.128|storage|Positron Emission Tomography Image Storage
.5.1.4.1.1.128.1|storage|Legacy Converted Enhanced PET Image Storage
.5.1.4.1.1.129|storage|Standalone PET Curve Storage
.5.1.4.1.1.130|storage|Enhanced PET Image Storage
.5.1.4.1.1.131|storage|Basic Structured Display Storage
.5.1.4.1.1.200.1|storage|CT Defined Procedure Protocol Storage
.5.1.4.1.1.200.2|storage|CT Performed Procedure Protocol Storage
.5.1.4.1.1.200.3|storage|Protocol Approval Storage
.5.1.4.1.1.200.4|class|Protocol Approval Information Model - FIND
.5.1.4.1.1.200.5|class|Protocol Approval Information Model - MOVE
.5.1.4.1.1.200.6|class|Protocol Approval Information Model - GET
.5.1.4.1.1.200.7|storage|XA Defined Procedure Protocol Storage
.5.1.4.1.1.200.8|storage|XA Performed Procedure Protocol Storage
.5.1.4.1.1.201.1|storage|Inventory Storage
.5.1.4.1.1.201.2|class|Inventory - FIND
.5.1.4.1.1.201.3|class|Inventory - MOVE
.5.1.4.1.1.201.4|class|Inventory - GET
.5.1.4.1.1.201.5|class|Inventory Creation
.5.1.4.1.1.201.6|class|Repository Query
.5.1.4.1.1.201.1.1|instance|Storage Management SOP Instance
.5.1.4.1.1.481.1|storage|RT Image Storage
.5.1.4.1.1.481.2|storage|RT Dose Storage
.5.1.4.1.1.481.3|storage|RT Structure Set Storage
.5.1.4.1.1.481.4|storage|RT Beams Treatment Record Storage
.5.1.4.1.1.481.5|storage|RT Plan Storage
.5.1.4.1.1.481.6|storage|RT Brachy Treatment Record Storage
.5.1.4.1.1.481.7|storage|RT Treatment Summary Record Storage
.5.1.4.1.1.481.8|storage|RT Ion Plan Storage
.5.1.4.1.1.481.9|storage|RT Ion Beams Treatment Record Storage
.5.1.4.1.1.481.10|storage|RT Physician Intent Storage
.5.1.4.1.1.481.11|storage|RT Segment Annotation Storage
.5.1.4.1.1.481.12|storage|RT Radiation Set Storage
.5.1.4.1.1.481.13|storage|C-Arm Photon-Electron Radiation Storage
.5.1.4.1.1.481.14|storage|Tomotherapeutic Radiation Storage
.5.1.4.1.1.481.15|storage|Robotic-Arm Radiation Storage
.5.1.4.1.1.481.16|storage|RT Radiation Record Set Storage
.5.1.4.1.1.481.17|storage|RT Radiation Salvage Record Storage
.5.1.4.1.1.481.18|storage|Tomotherapeutic Radiation Record Storage
.5.1.4.1.1.481.19|storage|C-Arm Photon-Electron Radiation Record Storage
.5.1.4.1.1.481.20|storage|Robotic Radiation Record Storage
.5.1.4.1.1.481.21|storage|RT Radiation Set Delivery Instruction Storage
.5.1.4.1.1.481.22|storage|RT Treatment Preparation Storage
.5.1.4.1.1.481.23|storage|Enhanced RT Image Storage
.5.1.4.1.1.481.24|storage|Enhanced Continuous RT Image Storage
.5.1.4.1.1.481.25|storage|RT Patient Position Acquisition Instruction Storage
.5.1.4.1.1.501.1|storage|DICOS CT Image Storage
.5.1.4.1.1.501.2.1|storage|DICOS Digital X-Ray Image Storage - For Presentation
.5.1.4.1.1.501.2.2|storage|DICOS Digital X-Ray Image Storage - For Processing
.5.1.4.1.1.501.3|storage|DICOS Threat Detection Report Storage
.5.1.4.1.1.501.4|storage|DICOS 2D AIT Storage
.5.1.4.1.1.501.5|storage|DICOS 3D AIT Storage
.5.1.4.1.1.501.6|storage|DICOS Quadrupole Resonance (QR) Storage
.5.1.4.1.1.601.1|storage|Eddy Current Image Storage
.5.1.4.1.1.601.2|storage|Eddy Current Multi-frame Image Storage
.5.1.4.1.2.1.1|class|Patient Root Query/Retrieve Information Model - FIND
.5.1.4.1.2.1.2|class|Patient Root Query/Retrieve Information Model - MOVE
.5.1.4.1.2.1.3|class|Patient Root Query/Retrieve Information Model - GET
.5.1.4.1.2.2.1|class|Study Root Query/Retrieve Information Model - FIND
.5.1.4.1.2.2.2|class|Study Root Query/Retrieve Information Model - MOVE
.5.1.4.1.2.2.3|class|Study Root Query/Retrieve Information Model - GET
.5.1.4.1.2.3.1|class|Patient/Study Only Query/Retrieve Information Model - FIND
.5.1.4.1.2.3.2|class|Patient/Study Only Query/Retrieve Information Model - MOVE
.5.1.4.1.2.3.3|class|Patient/Study Only Query/Retrieve Information Model - GET
.5.1.4.1.2.4.2|class|Composite Instance Root Retrieve - MOVE
.5.1.4.1.2.4.3|class|Composite Instance Root Retrieve - GET
.5.1.4.1.2.5.3|class|Composite Instance Retrieve Without Bulk Data - GET
.5.1.4.20.1|class|Defined Procedure Protocol Information Model - FIND
.5.1.4.20.2|class|Defined Procedure Protocol Information Model - MOVE
.5.1.4.20.3|class|Defined Procedure Protocol Information Model - GET
.5.1.4.31|class|Modality Worklist Information Model - FIND
.5.1.4.32|meta|General Purpose Worklist Management Meta SOP Class
.5.1.4.32.1|class|General Purpose Worklist Information Model - FIND
.5.1.4.32.2|class|General Purpose Scheduled Procedure Step SOP Class
.5.1.4.32.3|class|General Purpose Performed Procedure Step SOP Class
.5.1.4.33|class|Instance Availability Notification SOP Class
.5.1.4.34.1|storage|RT Beams Delivery Instruction Storage - Trial
.5.1.4.34.2|class|RT Conventional Machine Verification - Trial
.5.1.4.34.3|class|RT Ion Machine Verification - Trial
.5.1.4.34.4|service|Unified Worklist and Procedure Step Service Class - Trial
.5.1.4.34.4.1|class|Unified Procedure Step - Push SOP Class - Trial
.5.1.4.34.4.2|class|Unified Procedure Step - Watch SOP Class - Trial
.5.1.4.34.4.3|class|Unified Procedure Step - Pull SOP Class - Trial
.5.1.4.34.4.4|class|Unified Procedure Step - Event SOP Class - Trial
.5.1.4.34.5|instance|UPS Global Subscription SOP Instance
.5.1.4.34.5.1|instance|UPS Filtered Global Subscription SOP Instance
.5.1.4.34.6|service|Unified Worklist and Procedure Step Service Class
.5.1.4.34.6.1|class|Unified Procedure Step - Push SOP Class
.5.1.4.34.6.2|class|Unified Procedure Step - Watch SOP Class
.5.1.4.34.6.3|class|Unified Procedure Step - Pull SOP Class
.5.1.4.34.6.4|class|Unified Procedure Step - Event SOP Class
.5.1.4.34.6.5|class|Unified Procedure Step - Query SOP Class
.5.1.4.34.7|storage|RT Beams Delivery Instruction Storage
.5.1.4.34.8|class|RT Conventional Machine Verification
.5.1.4.34.9|class|RT Ion Machine Verification
.5.1.4.34.10|storage|RT Brachy Application Setup Delivery Instruction Storage
.5.1.4.37.1|class|General Relevant Patient Information Query
.5.1.4.37.2|class|Breast Imaging Relevant Patient Information Query
.5.1.4.37.3|class|Cardiac Relevant Patient Information Query
.5.1.4.38.1|storage|Hanging Protocol Storage
.5.1.4.38.2|class|Hanging Protocol Information Model - FIND
.5.1.4.38.3|class|Hanging Protocol Information Model - MOVE
.5.1.4.38.4|class|Hanging Protocol Information Model - GET
.5.1.4.39.1|storage|Color Palette Storage
.5.1.4.39.2|class|Color Palette Query/Retrieve Information Model - FIND
.5.1.4.39.3|class|Color Palette Query/Retrieve Information Model - MOVE
.5.1.4.39.4|class|Color Palette Query/Retrieve Information Model - GET
.5.1.4.41|class|Product Characteristics Query SOP Class
.5.1.4.42|class|Substance Approval Query SOP Class
.5.1.4.43.1|storage|Generic Implant Template Storage
.5.1.4.43.2|class|Generic Implant Template Information Model - FIND
.5.1.4.43.3|class|Generic Implant Template Information Model - MOVE
.5.1.4.43.4|class|Generic Implant Template Information Model - GET
.5.1.4.44.1|storage|Implant Assembly Template Storage
.5.1.4.44.2|class|Implant Assembly Template Information Model - FIND
.5.1.4.44.3|class|Implant Assembly Template Information Model - MOVE
.5.1.4.44.4|class|Implant Assembly Template Information Model - GET
.5.1.4.45.1|storage|Implant Template Group Storage
.5.1.4.45.2|class|Implant Template Group Information Model - FIND
.5.1.4.45.3|class|Implant Template Group Information Model - MOVE
.5.1.4.45.4|class|Implant Template Group Information Model - GET
.10.1|class|Video Endoscopic Image Real-Time Communication
.10.2|class|Video Photographic Image Real-Time Communication
.10.3|class|Audio Waveform Real-Time Communication
.10.4|class|Rendition Selection Document Real-Time Communication
"""
